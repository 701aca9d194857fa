// Buttons, select menus and layouts of a message.

import { attachment, emojiText, picture } from "./embeds.js";
import { h } from "./dom.js";
import { markdown } from "./markdown.js";
import { t } from "./texts.js";

const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger" };
const ENTITIES = { 5: ["user"], 6: ["role"], 7: ["user", "role"], 8: ["channel"] };

/** Everything of a message that is pressed or chosen; `page` acts. */
export const components = (message, page) => message.components.map((one) => drawn(one, message, page)).filter(Boolean);

function drawn(one, message, page) {
  const all = (list) => (list ?? []).map((inner) => drawn(inner, message, page));
  switch (one.type) {
    case 1: return h("div", { class: "row" }, all(one.components));
    case 2: return button(one, message, page);
    case 3: return (one.max_values ?? 1) > 1 ? several(one, one.options, message, page) : single(one, one.options, message, page);
    case 5: case 6: case 7: case 8: return entities(one, message, page);
    case 9: return h("div", { class: "section" }, h("div", {}, all(one.components)), drawn(one.accessory, message, page));
    case 10: return h("div", { class: "text" }, markdown(one.content, page.names));
    case 11: return h("div", { class: "thumbnail" }, picture(one.media.url, one.description));
    case 12: return h("div", { class: "gallery" }, one.items.map((item) => picture(item.media.url, item.description)));
    case 13: return file(one, message);
    case 14: return h("hr", { class: one.divider === false ? "gap" : "" });
    case 17: return container(one, all(one.components));
    default: return null;
  }
}

function container(one, inner) {
  const box = h("div", { class: "container" }, inner);
  if (one.accent_color != null) box.style.setProperty("--accent", `#${one.accent_color.toString(16).padStart(6, "0")}`);
  return box;
}

function file(one, message) {
  const found = message.attachments.find((each) => each.url === one.file.url);
  return found ? attachment(found) : null;
}

function button(one, message, page) {
  const label = [one.emoji && h("span", { "aria-hidden": one.label ? "true" : null }, emojiText(one.emoji)), one.label];
  if (one.url) return h("a", { class: "button link", href: one.url, target: "_blank", rel: "noreferrer noopener" }, label, " ↗");
  const told = { type: "button", class: `button ${STYLES[one.style] ?? "secondary"}`, disabled: one.disabled };
  return h("button", { ...told, "data-custom-id": one.custom_id, onclick: (event) =>
    page.interact(event.currentTarget, { act: "click", channel: message.channel_id, message: message.id, custom_id: one.custom_id }),
  }, label);
}

function choose(one, values, message, page, element) {
  page.interact(element, { act: "select", channel: message.channel_id, message: message.id, custom_id: one.custom_id, values });
}

function single(one, options, message, page) {
  const name = one.placeholder ?? t("Choose …");
  const preset = options.find((option) => option.default);
  const menu = h("select", { "aria-label": name, disabled: one.disabled, "data-custom-id": one.custom_id, onchange: () =>
    choose(one, [JSON.parse(menu.value)], message, page, menu) },
    h("option", { value: "", disabled: true, selected: !preset }, name),
    options.map((option) => h("option", { value: JSON.stringify(option.value), selected: option === preset }, optionText(option))));
  return menu;
}

const optionText = (option) => [emojiText(option.emoji), option.label, option.description && `– ${option.description}`]
  .filter(Boolean).join(" ");

function several(one, options, message, page) {
  const boxes = options.map((option) => h("input", { type: "checkbox", value: JSON.stringify(option.value), checked: option.default }));
  const send = h("button", { type: "button", class: "button primary", onclick: () =>
    choose(one, boxes.filter((box) => box.checked).map((box) => JSON.parse(box.value)), message, page, send) }, t("Choose"));
  return h("details", { class: "several", "data-custom-id": one.custom_id }, h("summary", {}, one.placeholder ?? t("Choose …")),
    options.map((option, index) => h("label", {}, boxes[index], optionText(option))), send);
}

function entities(one, message, page) {
  const options = ENTITIES[one.type].flatMap((kind) => page.entities(kind, message.channel_id, one.channel_types)
    .map(({ id, name }) => ({ label: name, value: { [kind]: id } })));
  const draw = (one.max_values ?? 1) > 1 ? several : single;
  return draw(one, options, message, page);
}

