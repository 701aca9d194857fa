// The part of Discord's markup that bots and people use every day.

import { h } from "./dom.js";
import { t, when } from "./texts.js";

const INLINE = new RegExp([
  "(?<code>``.+?``|`[^`\\n]+`)", "\\\\(?<escaped>[*_~`|>#\\\\<-])", "\\*\\*(?<bold>.+?)\\*\\*(?!\\*)",
  "__(?<under>.+?)__", "\\*(?<italic>[^\\s*](?:.*?[^\\s*])?)\\*", "(?<![\\w])_(?<slanted>[^_]+)_(?![\\w])", "~~(?<struck>.+?)~~",
  "\\|\\|(?<spoiler>.+?)\\|\\|", "\\[(?<label>[^\\]\\n]+)\\]\\(<?(?<target>https?://[^\\s)>]+)>?(?: \"[^\"\\n]*\")?\\)", "<t:(?<time>-?\\d+)(?::(?<style>[tTdDfFsSR]))?>",
  "<@!?(?<user>\\d+)>", "<@&(?<role>\\d+)>", "<#(?<channel>\\d+)>", "</(?<command>[^:>]+):\\d+>", "<a?:(?<emoji>\\w+):\\d+>",
  "<?(?<link>https?://[^\\s<>]+[^\\s<>.,:;!?'\")\\]])>?", "(?<all>@everyone|@here)",
].join("|"), "s");

/** The text as nodes; `names` tells what ids are called. */
export function markdown(text, names) {
  return fenced(text ?? "").flatMap(({ code, language, plain }) =>
    code === undefined ? blocks(plain, names) : [h("pre", { tabindex: 0 }, h("code", { "data-language": language }, code))]);
}

/** Without lines of their own: for titles and labels. */
export const inline = (text, names) => spans(text ?? "", names);

function fenced(text) {
  const parts = [];
  let rest = text, found;
  while ((found = /```(?:([\w+-]+)\n)?\n?([\s\S]*?)\n?```/.exec(rest))) {
    if (found.index) parts.push({ plain: rest.slice(0, found.index).replace(/\n$/, "") });
    parts.push({ code: found[2], language: found[1] ?? "" });
    rest = rest.slice(found.index + found[0].length).replace(/^\n/, "");
  }
  return rest ? [...parts, { plain: rest }] : parts;
}

function blocks(text, names) {
  const nodes = [], lines = text.split("\n");
  for (const [number, line] of lines.entries()) {
    if (line.startsWith(">>> ")) return [...nodes, h("blockquote", {}, blocks([line.slice(4), ...lines.slice(number + 1)].join("\n"), names))];
    const [, heading, title] = /^(#{1,3}) (.+)/.exec(line) ?? [];
    const [, quote] = /^> ?(.*)/.exec(line) ?? [];
    const [, small] = /^-# (.+)/.exec(line) ?? [];
    const [, indent, item] = /^(\s*)[-*] (.+)/.exec(line) ?? [];
    if (heading) nodes.push(h("strong", { class: `heading h${heading.length}` }, spans(title, names)));
    else if (quote !== undefined) nodes.push(h("blockquote", {}, spans(quote, names)));
    else if (small) nodes.push(h("small", { class: "line" }, spans(small, names)));
    else if (item) nodes.push(h("span", { class: indent ? "item nested" : "item" }, spans(item, names)));
    else nodes.push(h("span", { class: "line" }, line ? spans(line, names) : "\u00a0"));
  }
  return nodes;
}

function spans(text, names) {
  const nodes = [];
  let rest = text, found;
  while ((found = INLINE.exec(rest))) {
    if (found.index) nodes.push(rest.slice(0, found.index));
    nodes.push(node(found.groups, names));
    rest = rest.slice(found.index + found[0].length);
  }
  if (rest) nodes.push(rest);
  return nodes;
}

function node(found, names) {
  const inner = (name, text, attributes = {}) => h(name, attributes, spans(text, names));
  if (found.code) return h("code", {}, found.code.replace(/^`+|`+$/g, "").trim());
  if (found.escaped) return found.escaped;
  if (found.bold) return inner("strong", found.bold);
  if (found.under) return inner("u", found.under);
  if (found.italic ?? found.slanted) return inner("em", found.italic ?? found.slanted);
  if (found.struck) return inner("s", found.struck);
  if (found.spoiler) return spoiler(spans(found.spoiler, names));
  if (found.label) return h("a", { href: found.target, target: "_blank", rel: "noreferrer noopener" }, found.label);
  if (found.link) return h("a", { href: found.link, target: "_blank", rel: "noreferrer noopener" }, found.link);
  if (found.time) return stamp(Number(found.time) * 1000, found.style);
  if (found.user) return h("span", { class: "mention" }, `@${names.user(found.user)}`);
  if (found.role) return h("span", { class: "mention" }, `@${names.role(found.role)}`);
  if (found.channel) return h("span", { class: "mention" }, `#${names.channel(found.channel)}`);
  if (found.command) return h("span", { class: "mention" }, `/${found.command}`);
  if (found.emoji) return `:${found.emoji}:`;
  return h("span", { class: "mention" }, found.all);
}

/** A time that is told anew while it is seen. */
export function stamp(time, style = "f") {
  if (Number.isNaN(new Date(time).getTime())) return h("span", { class: "stamp" }, t("Invalid date"));
  const told = { datetime: new Date(time).toISOString(), title: when(time, "F"), class: "stamp" };
  return h("time", { ...told, "data-style": style }, when(time, style));
}

setInterval(() => {
  for (const one of document.querySelectorAll('time[data-style="R"]')) {
    const text = when(Date.parse(one.dateTime), "R");
    if (one.textContent !== text) one.textContent = text;
  }
}, 1000);

function spoiler(hidden) {
  const button = h("button", { class: "spoiler", type: "button", onclick: () => button.replaceWith(h("span", { class: "revealed" }, hidden)) }, t("Spoiler"));
  return button;
}
