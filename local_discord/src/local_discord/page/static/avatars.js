// Pictures of people and servers, drawn from their ids.

import { svg } from "./dom.js";

const HUES = [232, 152, 22, 282, 340, 195, 48, 262];

const hueOf = (id) => HUES[Number(BigInt(id) % 7919n) % HUES.length];

/** Somebody's picture: a face of their own colour; the bot's is square. */
export function avatar(user, size = 40) {
  const hue = user.bot ? 232 : hueOf(user.id);
  const seed = Number(BigInt(user.id) % 997n);
  const picture = svg("svg", { class: user.bot ? "avatar" : "avatar round", viewBox: "0 0 40 40", width: size, height: size, "aria-hidden": "true" });
  picture.append(
    svg("rect", { width: 40, height: 40, rx: user.bot ? 12 : 20, fill: `hsl(${hue} 52% 46%)` }),
    ...(user.bot ? robot() : face(hue, seed, user.username)),
  );
  return picture;
}

function robot() {
  return [
    svg("rect", { x: 9, y: 14, width: 22, height: 16, rx: 5, fill: "#fff" }),
    svg("path", { d: "M20 14V8", stroke: "#fff", "stroke-width": 2.5, "stroke-linecap": "round" }),
    svg("circle", { cx: 20, cy: 7.5, r: 2.6, fill: "#fff" }),
    svg("circle", { cx: 15.5, cy: 21, r: 2.4, fill: "hsl(232 52% 46%)" }),
    svg("circle", { cx: 24.5, cy: 21, r: 2.4, fill: "hsl(232 52% 46%)" }),
    svg("path", { d: "M16 26h8", stroke: "hsl(232 52% 46%)", "stroke-width": 1.8, "stroke-linecap": "round" }),
  ];
}

function face(hue, seed, name) {
  const tilt = (seed % 7) - 3;
  const initial = svg("text", {
    x: 20, y: 27, "text-anchor": "middle", "font-size": 19, "font-weight": 700, fill: "#fff",
    "font-family": "system-ui, sans-serif",
  });
  initial.textContent = [...name][0]?.toUpperCase() ?? "?";
  return [
    svg("circle", { cx: 20 + tilt * 2, cy: 37, r: 15, fill: `hsl(${hue} 55% 39%)` }),
    svg("circle", { cx: 31 + tilt, cy: 9, r: 5, fill: `hsl(${hue} 60% 58%)` }),
    initial,
  ];
}

/** The letters that stand for a server. */
export function initials(name) {
  return name.split(/\s+/).map((word) => [...word][0]).join("").slice(0, 3);
}

export { hueOf };
