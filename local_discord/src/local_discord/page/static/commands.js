// The commands that a person is offered, and the form for one of them.

import { Combobox } from "./combobox.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { fileValue } from "./modal.js";
import { discordLocale, t } from "./texts.js";

const SUBCOMMAND = 1, GROUP = 2, STRING = 3, INTEGER = 4, BOOLEAN = 5, USER = 6, CHANNEL = 7, ROLE = 8, MENTIONABLE = 9, NUMBER = 10, FILE = 11;
const ENTITIES = { [USER]: ["user"], [CHANNEL]: ["channel"], [ROLE]: ["role"], [MENTIONABLE]: ["user", "role"] };

const localized = (one, what) => {
  const told = one[`${what}_localizations`] ?? {};
  return told[discordLocale] ?? one[what];
};

/** Slash commands one by one, sub-commands by their whole path. */
export function flat(commands) {
  const leaves = (node, path, shown) => {
    const below = (node.options ?? []).filter((one) => one.type === SUBCOMMAND || one.type === GROUP);
    if (!below.length) return [{ path, shown, description: localized(node, "description"), options: node.options ?? [] }];
    return below.flatMap((one) => leaves(one, `${path} ${one.name}`, `${shown} ${localized(one, "name")}`));
  };
  return commands.filter((one) => one.type === 1).flatMap((one) => leaves(one, one.name, localized(one, "name")));
}

/** The fields of one command; those that it can do without are added by a button. */
export class CommandForm {
  constructor(command, page, { onSend, onCancel }) {
    Object.assign(this, { command, page, fields: new Map() });
    this.more = h("div", { class: "row options" });
    this.inputs = h("div", { class: "inputs" });
    this.element = h("form", { class: "command", "aria-label": `/${command.shown}`, onsubmit: async (event) => {
      event.preventDefault();
      onSend(command, await this.values());
    }, onkeydown: (event) => { if (event.key === "Escape") onCancel(); } },
    h("div", { class: "line" }, h("strong", { class: "path" }, `/${command.shown}`), this.inputs, h("button", { class: "send", type: "submit", "aria-label": t("Send") }, icon("send", 20)),
      h("button", { class: "tool", type: "button", "aria-label": t("Cancel"), onclick: onCancel }, icon("close"))),
    h("p", { class: "about" }, command.description), this.more);
    for (const option of command.options.filter((one) => one.required)) this.#add(option);
    for (const option of command.options.filter((one) => !one.required)) this.more.append(this.#button(option));
  }

  focus() {
    (this.inputs.querySelector("input,select") ?? this.more.querySelector("button") ?? this.element.querySelector("button")).focus();
  }

  /** By the options' names; empty ones are left out. */
  async values() {
    const values = {};
    for (const [name, field] of this.fields) {
      const value = await field.read();
      if (value !== undefined && value !== "") values[name] = value;
    }
    return values;
  }

  #button(option) {
    const name = localized(option, "name");
    return h("button", { type: "button", class: "chip", title: localized(option, "description"), onclick: (event) => {
      event.currentTarget.remove();
      this.#add(option).focus();
    } }, "+ ", name);
  }

  #add(option) {
    const field = fieldOf(option, this);
    this.fields.set(option.name, field);
    const name = localized(option, "name"), id = `option-${option.name}`;
    field.control.id = id;
    if (option.required) field.control.required = true;
    const label = h("label", { for: id, title: localized(option, "description") }, name);
    this.inputs.append(h("span", { class: "option" }, label, field.control, field.list));
    return field.control;
  }
}

function fieldOf(option, form) {
  const kinds = ENTITIES[option.type], placeholder = localized(option, "description");
  if (option.type === BOOLEAN) return chosen(option, [{ name: t("yes"), value: true }, { name: t("no"), value: false }]);
  if (option.choices?.length) return chosen(option, option.choices.map((one) => ({ name: localized(one, "name"), value: one.value })));
  if (kinds) return chosen(option, kinds.flatMap((kind) => form.page.entities(kind, null, option.channel_types)
    .map(({ id, name }) => ({ name, value: { [kind]: id } }))));
  if (option.type === FILE) {
    const control = h("input", { type: "file" });
    return { control, read: () => (control.files[0] ? fileValue(control.files[0]) : undefined) };
  }
  const isNumber = option.type === INTEGER || option.type === NUMBER;
  const control = h("input", { type: isNumber && !option.autocomplete ? "number" : "text", placeholder, minlength: option.min_length, maxlength: option.max_length, autocomplete: "off",
    step: option.type === NUMBER ? "any" : null, min: option.min_value, max: option.max_value });
  const convert = (text) => (isNumber && text !== "" ? Number(text) : text);
  return option.autocomplete ? suggested(option, control, form, convert) : { control, read: () => convert(control.value) };
}

function chosen(option, choices) {
  const control = h("select", {}, h("option", { value: "" }, t("Choose …")),
    choices.map((one) => h("option", { value: JSON.stringify(one.value) }, one.name)));
  return { control, read: () => (control.value === "" ? undefined : JSON.parse(control.value)) };
}

/** What is shown is the name of a suggestion, what is sent its value. */
function suggested(option, control, form, convert) {
  let picked = null;
  const suggest = async (text) => {
    const others = await form.values();
    const found = await form.page.ask({ act: "autocomplete", path: form.command.path, focused: option.name, options: { ...others, [option.name]: text } });
    return (found?.choices ?? []).map((one) => ({ label: one.name, value: one.value }));
  };
  const box = new Combobox(control, { suggest, label: localized(option, "name"), onPick: (one) => {
    picked = one;
    control.value = one.label;
  } });
  return { control, list: box.list, read: () => (picked?.label === control.value ? picked.value : convert(control.value)) };
}
