// A text field with suggestions, as the ARIA pattern of that name has it.

import { h } from "./dom.js";

let count = 0;

/** `suggest(text)` gives `{label, hint, value}`s; `onPick` is told which one was taken. */
export class Combobox {
  constructor(field, { suggest, onPick, label }) {
    Object.assign(this, { field, suggest, onPick, shown: [], active: -1, asked: 0, asking: null });
    this.list = h("ul", { class: "suggestions", role: "listbox", id: `suggestions-${++count}`, "aria-label": label, hidden: true });
    const told = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.list.id, autocomplete: "off" };
    for (const [name, value] of Object.entries(told)) field.setAttribute(name, value);
    field.addEventListener("input", () => this.refresh());
    field.addEventListener("focus", () => this.refresh());
    field.addEventListener("blur", () => this.close());
    field.addEventListener("keydown", (event) => this.#onKey(event));
  }

  get isOpen() {
    return !this.list.hidden;
  }

  refresh() {
    this.asking = this.#ask(++this.asked);
  }

  /** Takes the active one. */
  pick() { this.#pick(this.active); }

  async #ask(turn) {
    const found = await this.suggest(this.field.value);
    if (turn !== this.asked || document.activeElement !== this.field) return;
    this.shown = found.slice(0, 25);
    this.#draw();
  }

  close() {
    this.asked += 1;
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }

  #draw() {
    this.list.replaceChildren(...this.shown.map((one, index) => h("li", {
      role: "option", id: `${this.list.id}-${index}`, "aria-selected": "false",
      onmousedown: (event) => { event.preventDefault(); this.#pick(index); },
    }, h("span", {}, one.label), one.hint && h("small", {}, one.hint))));
    this.list.hidden = !this.shown.length;
    this.field.setAttribute("aria-expanded", String(!this.list.hidden));
    this.#activate(this.shown.length ? 0 : -1);
  }

  #activate(index) {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = index;
    const item = this.list.children[index];
    if (!item) return this.field.removeAttribute("aria-activedescendant");
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    return this.field.setAttribute("aria-activedescendant", item.id);
  }

  #onKey(event) {
    if (!this.isOpen || event.isComposing) return;
    const { length } = this.shown, step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.#activate((this.active + step + length) % length);
    else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) this.#pick(this.active);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  #pick(index) {
    const picked = this.shown[index];
    this.close();
    this.onPick(picked);
  }
}
