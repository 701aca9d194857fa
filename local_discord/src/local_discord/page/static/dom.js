// Elements, made without any HTML in strings: what people write stays text.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, `on…` listeners and children; null, undefined and false are left out. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same in SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

export const byId = (id) => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((one) => one !== null && one !== undefined && one !== false));
  return element;
}

/** Says something to a screen reader alone. */
export function speak(text) {
  byId("spoken").textContent = text;
}

let hiding = 0;

/** Shows a line for some seconds, or until another one or whoever said so takes it away: why something was refused. */
export function notify(text, { stays = false } = {}) {
  const notice = byId("notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(hiding);
  if (!stays) hiding = setTimeout(() => { notice.hidden = true; }, 6000);
}
