// Embeds and attached files.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { inline, markdown, stamp } from "./markdown.js";
import { t } from "./texts.js";

const isOurs = (url) => url?.startsWith("/attachments/");

export function embed(told, names) {
  const colour = told.color ?? 0x4f5bd5, thumbnail = told.thumbnail && h("div", { class: "thumbnail" }, picture(told.thumbnail.url, ""));
  const box = h("article", { class: "embed" },
    h("div", { class: "embed-top" }, h("div", { class: "embed-main" }, ...head(told, names)), isOurs(told.thumbnail?.url) && thumbnail),
    told.fields?.length > 0 && h("dl", { class: "embed-fields" }, told.fields.map((field) =>
      h("div", { class: field.inline ? "inline" : "" }, h("dt", {}, inline(field.name, names)), h("dd", {}, markdown(field.value, names))))),
    !isOurs(told.thumbnail?.url) && thumbnail,
    told.image && picture(told.image.url, ""),
    (told.footer || told.timestamp) && h("p", { class: "embed-foot" }, told.footer?.text,
      told.footer && told.timestamp && " · ", told.timestamp && stamp(Date.parse(told.timestamp))));
  box.style.setProperty("--accent", `#${colour.toString(16).padStart(6, "0")}`);
  return box;
}

const head = (told, names) => [
  told.author && h("p", { class: "embed-author" }, told.author.url ? link(told.author.url, told.author.name) : told.author.name),
  told.title && h("p", { class: "embed-title" }, told.url ? link(told.url, inline(told.title, names)) : inline(told.title, names)),
  told.description && h("div", { class: "embed-text" }, markdown(told.description, names)),
];

/** As it is written: pictures of a server's own emoji are not kept here. */
export const emojiText = (emoji) => (emoji?.id ? `:${emoji.name}:` : emoji?.name ?? "");

/** A picture of this Discord's own; of another address only where it is. */
export function picture(url, description) {
  if (!isOurs(url)) return link(url, url);
  return h("a", { href: url, target: "_blank", class: "picture" }, h("img", { src: url, alt: description || t("Picture"), loading: "lazy" }));
}

export function attachment(told) {
  if (told.content_type?.startsWith("image/")) return picture(told.url, told.description ?? told.filename);
  return h("a", { class: "file", href: told.url, download: told.filename },
    icon("clip", 24),
    h("span", {}, h("strong", {}, told.filename), h("small", {}, bytes(told.size))));
}

export function bytes(size) {
  return size < 1024 ? `${size} B` : size < 1024 ** 2 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1024 ** 2).toFixed(1)} MB`;
}

const link = (url, text) => h("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, text);
