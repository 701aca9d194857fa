// The forms that a bot opens.

import { h } from "./dom.js";
import { markdown } from "./markdown.js";
import { t } from "./texts.js";

const TEXT_INPUT = 4, STRING_SELECT = 3, TEXT = 10, LABEL = 18, UPLOAD = 19, RADIO = 21, CHECKBOXES = 22, CHECKBOX = 23;
/** Of files that are sent together. */
export const MOST_BYTES = 10 * 1024 * 1024;

const ENTITIES = { 5: ["user"], 6: ["role"], 7: ["user", "role"], 8: ["channel"] };

/** Opens the form; `submit` is given its values and says whether it was taken. */
export function openModal(modal, page, submit) {
  const fields = modal.components.flatMap((row) => rowOf(row, page)), opener = document.activeElement;
  const send = h("button", { class: "button primary", type: "submit" }, t("Submit"));
  const form = h("form", { method: "dialog", onsubmit: async (event) => {
    event.preventDefault();
    send.disabled = true;
    const values = {};
    for (const field of fields.filter((one) => one.read)) values[field.id] = await field.read();
    if (await submit(values)) dialog.close();
    else send.disabled = false;
  } }, h("h2", { id: "modal-title" }, modal.title), fields.map((field) => field.drawn),
  h("div", { class: "row end" }, h("button", { class: "button plain", type: "button", onclick: () => dialog.close() }, t("Cancel")), send));
  const dialog = h("dialog", { class: "modal", "aria-labelledby": "modal-title", onclose: () => { dialog.remove(); opener?.focus?.(); } }, form);
  document.body.append(dialog);
  dialog.showModal();
  (form.querySelector("input,textarea,select") ?? send).focus();
}

function rowOf(row, page) {
  if (row.type === TEXT) return [{ drawn: h("div", {}, markdown(row.content, page.names)) }];
  if (row.type === LABEL) return [labelled(row.component, row.label, row.description, page)];
  return (row.components ?? []).map((field) => labelled(field, field.label, null, page));
}

function labelled(field, label, description, page) {
  const id = `field-${field.custom_id}`, { control, read } = controlOf(field, id, page);
  const required = field.required ?? field.type !== CHECKBOX;
  const name = [label, required && h("span", { class: "required", "aria-hidden": "true" }, " *")];
  const hint = description && h("small", {}, description);
  const drawn = [RADIO, CHECKBOXES].includes(field.type)
    ? h("fieldset", {}, h("legend", {}, name), hint, control) : h("div", { class: "field" }, h("label", { for: id }, name), hint, control);
  return { id: field.custom_id, drawn, read };
}

function controlOf(field, id, page) {
  const required = field.required ?? field.type !== CHECKBOX;
  if (field.type === TEXT_INPUT) return text(field, id, required);
  if (field.type === CHECKBOX) return tick(field, id);
  if (field.type === UPLOAD) return upload(field, id, required);
  if (field.type === RADIO || field.type === CHECKBOXES) return group(field, id);
  const kinds = ENTITIES[field.type];
  const options = field.type === STRING_SELECT ? field.options : kinds.flatMap((kind) =>
    page.entities(kind, null, field.channel_types).map(({ id: number, name }) => ({ label: name, value: { [kind]: number } })));
  return menu(field, id, required, options);
}

function text(field, id, required) {
  const told = { id, required, placeholder: field.placeholder, minlength: field.min_length, maxlength: field.max_length, value: field.value ?? "" };
  const control = field.style === 2 ? h("textarea", { rows: 4, ...told }) : h("input", { type: "text", autocomplete: "off", ...told });
  return { control, read: () => control.value };
}

function tick(field, id) {
  const control = h("input", { type: "checkbox", id, checked: field.default });
  return { control, read: () => control.checked };
}

function upload(field, id, required) {
  const control = h("input", { type: "file", id, required, multiple: (field.max_values ?? 1) > 1 });
  return { control, read: () => Promise.all([...control.files].map(fileValue)) };
}

function group(field, id) {
  const type = field.type === RADIO ? "radio" : "checkbox";
  const boxes = field.options.map((option) => h("input", { type, name: id, value: option.value, checked: option.default }));
  const control = h("div", {}, field.options.map((option, index) => h("label", { class: "choice" }, boxes[index], option.label)));
  const read = () => boxes.filter((box) => box.checked).map((box) => box.value);
  return { control, read };
}

function menu(field, id, required, options) {
  const multiple = (field.max_values ?? 1) > 1;
  const control = h("select", { id, required, multiple }, !multiple && h("option", { value: "" }, field.placeholder ?? t("Choose …")),
    options.map((option) => h("option", { value: JSON.stringify(option.value), selected: option.default }, option.label)));
  return { control, read: () => [...control.selectedOptions].filter((one) => one.value).map((one) => JSON.parse(one.value)) };
}

/** A file as it is sent. */
export async function fileValue(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return { file: [file.name, btoa(text)] };
}
