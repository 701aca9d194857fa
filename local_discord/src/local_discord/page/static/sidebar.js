// Servers, channels, and who one is.

import { avatar, hueOf, initials } from "./avatars.js";
import { byId, h } from "./dom.js";
import { icon } from "./icons.js";
import { askToResetToken } from "./portal.js";
import { t } from "./texts.js";

const CATEGORY = 4, VOICE = 2, STAGE = 13, FORUM = 15, MEDIA = 16, ANNOUNCEMENT = 5, POSTS = [FORUM, MEDIA], THREADS = [10, 11, 12];
const SIGNS = { [VOICE]: "speaker", [STAGE]: "speaker", [FORUM]: "forum", [MEDIA]: "forum", [ANNOUNCEMENT]: "news" };

/** All of it, from the page's state. */
export function drawSidebar(page) {
  const { state, channel } = page, guild = page.guildOf(channel.id);
  byId("servers").setAttribute("aria-label", t("Servers"));
  byId("places").setAttribute("aria-label", t("Servers and channels"));
  byId("channels").setAttribute("aria-label", t("Channels"));
  byId("servers").replaceChildren(
    serverButton(page, { id: state.direct.id, name: t("Direct messages"), channels: [state.direct] }, guild, true),
    h("hr"), ...state.guilds.map((one) => serverButton(page, one, guild, false)));
  byId("server-name").replaceChildren(h("h1", {}, guild?.name ?? t("Direct messages")));
  byId("channels").replaceChildren(h("ul", {}, guild ? guildChannels(page, guild) : channelLink(page, state.direct, state.bot.username)));
  byId("self").replaceChildren(self(page));
}

/** The operations that a bot has asked for and that this Discord does not have. */
export function drawMissed(missed) {
  const names = Object.keys(missed), place = byId("missed");
  place.hidden = !names.length;
  place.replaceChildren(h("summary", {}, t("Not served here: {count}", { count: names.length })),
    h("ul", {}, names.map((name) => h("li", {}, h("code", {}, name), ` × ${missed[name]}`))));
}

function serverButton(page, server, guild, isDirect) {
  const current = isDirect ? !guild : guild?.id === server.id;
  const unread = server.channels.some((one) => page.unread.has(one.id)) && !current;
  const face = isDirect ? avatar(page.state.bot, 44) : h("span", { class: "initials", "data-text": initials(server.name) });
  const button = h("button", { type: "button", class: "server", title: server.name, "aria-label": unread ? t("{name}, unread", { name: server.name }) : server.name,
    "aria-current": current ? "true" : null, onclick: () => page.openServer(server) }, face, unread && h("span", { class: "dot" }));
  if (!isDirect) button.style.setProperty("--hue", hueOf(server.id));
  return button;
}

function guildChannels(page, guild) {
  const order = (one) => one.position ?? 0;
  const threads = (parent) => guild.channels.filter((one) => THREADS.includes(one.type) && one.parent_id === parent.id);
  const within = (id) => guild.channels.filter((one) => !THREADS.includes(one.type) && one.type !== CATEGORY && (one.parent_id ?? null) === id)
    .sort((one, other) => order(one) - order(other)).flatMap((one) => [channelLink(page, one), ...threads(one).map((thread) => channelLink(page, thread))]);
  const categories = guild.channels.filter((one) => one.type === CATEGORY).sort((one, other) => order(one) - order(other));
  return [...within(null), ...categories.map((one) => h("li", {}, h("h2", {}, one.name), h("ul", {}, within(one.id))))];
}

function channelLink(page, channel, name = channel.name) {
  const isThread = THREADS.includes(channel.type), current = channel.id === page.channel.id;
  const sign = channel.recipients ? "at" : isThread ? "thread" : SIGNS[channel.type] ?? "hash";
  return h("li", { class: isThread ? "thread" : "" }, h("button", {
    type: "button", class: `channel${page.unread.has(channel.id) ? " unread" : ""}`, "aria-current": current ? "page" : null,
    disabled: !channel.holds_messages && !POSTS.includes(channel.type),
    onclick: () => (POSTS.includes(channel.type) ? page.post(channel) : page.openChannel(channel.id)),
  }, icon(sign, 16), h("span", { class: "cut" }, name), page.unread.has(channel.id) && h("span", { class: "unseen" }, t("unread"))));
}

function self(page) {
  const { state } = page, me = state.people.find((one) => one.id === state.me);
  const menu = h("select", { id: "person", "aria-label": t("Who you are"), onchange: () => page.become(menu.value) },
    state.people.map((one) => h("option", { value: one.id, selected: one.id === state.me }, named(one.username))));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches, light = (page.theme ?? (dark ? "dark" : "light")) === "light";
  const name = light ? t("Use dark colours") : t("Use light colours");
  return h("div", { class: "self" }, avatar(me, 34), menu,
    state.resets_token && h("button", { type: "button", class: "tool", title: t("Reset the bot's token"),
      "aria-label": t("Reset the bot's token"), onclick: () => askToResetToken(page) }, icon("key")),
    h("button", { type: "button", class: "tool", title: name, "aria-label": name, onclick: () => page.setTheme(light ? "dark" : "light") }, icon(light ? "moon" : "sun")));
}

const named = (name) => name.charAt(0).toLocaleUpperCase() + name.slice(1);
