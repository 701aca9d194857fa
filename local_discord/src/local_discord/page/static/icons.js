// The page's own signs, drawn so that no font has to have them.

import { svg } from "./dom.js";

const PATHS = {
  plus: "M12 5v14M5 12h14",
  send: "M4 12h13M12 6l6 6-6 6",
  close: "M6 6l12 12M18 6L6 18",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.5a2.5 2.5 0 100 5 2.5 2.5 0 000-5z",
  clip: "M8 12.5l6-6a3 3 0 014.2 4.2L10 19a5 5 0 01-7-7l8-8",
  news: "M4 10v4h3l9 4V6l-9 4zM19 9.5v5M8 14.5l1.5 5h2L10.5 15.5",
  reply: "M9 7l-5 5 5 5M4 12h9a7 7 0 017 7",
  pencil: "M4 20l1-5L16 4l4 4L9 19z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  dots: "M6 12h.01M12 12h.01M18 12h.01",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14.5A8.5 8.5 0 119.5 4 7 7 0 0020 14.5z",
  menu: "M4 7h16M4 12h16M4 17h16",
  panel: "M4 5h16v14H4zM14 5v14",
  hash: "M9 4L7 20M17 4l-2 16M4 9h16M4 15h16",
  at: "M16 12a4 4 0 10-8 0 4 4 0 008 0zm0 0v1.5a2.5 2.5 0 005 0V12a9 9 0 10-4 7.5",
  thread: "M6 4v9a3 3 0 003 3h9M14 12l4 4-4 4",
  speaker: "M4 10v4h4l5 4V6l-5 4zM17 9a4 4 0 010 6",
  forum: "M4 5h16v11h-8l-5 4v-4H4z",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  key: "M11 13l9-9M17 7l3 3M14 10l2 2M8.5 12a3.5 3.5 0 100 7 3.5 3.5 0 000-7z",
  check: "M5 12.5l4.5 4.5L19 7",
};

/** One of them, which says nothing to a screen reader. */
export function icon(name, size = 18) {
  const attributes = { class: "icon", viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor", "aria-hidden": "true" };
  const strokes = { "stroke-width": name === "dots" ? 3 : 2, "stroke-linecap": "round", "stroke-linejoin": "round" };
  return svg("svg", { ...attributes, ...strokes }, svg("path", { d: PATHS[name] }));
}
