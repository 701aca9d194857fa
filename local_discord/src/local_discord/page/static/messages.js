// The messages of the open channel: the latest of them, whatever number there was.

import { avatar } from "./avatars.js";
import { components } from "./components.js";
import { byId, h } from "./dom.js";
import { attachment, embed, emojiText } from "./embeds.js";
import { icon } from "./icons.js";
import { markdown } from "./markdown.js";
import { clock, t, when } from "./texts.js";

const SHOWN = 150, MOST_SHOWN = 4 * SHOWN, TOGETHER_MS = 7 * 60_000;
const EMOJI = ["👍", "❤️", "😂", "🎉", "👀"];
const SYSTEM = { 6: "pinned a message", 7: "has joined", 18: "started a thread" };

export class Messages {
  constructor(page) {
    this.page = page;
    this.list = byId("messages");
    this.scroll = byId("scroll");
    this.newer = byId("newer");
    this.shown = new Map();
    this.waiting = [];
    this.missed = 0;
    this.follows = true;
    this.editing = null;
    const resized = new ResizeObserver(() => this.follows && this.toEnd());
    for (const element of [this.scroll, this.list]) resized.observe(element);
    this.scroll.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.newer.addEventListener("click", () => this.page.reopen());
  }

  /** From now on a channel's messages are asked for, as one person sees them: what comes and goes meanwhile counts, too. */
  begin(person, channel) {
    const place = `${person} ${channel}`;
    if (this.place !== place) Object.assign(this, { place, channel, editing: null, waiting: [] });
    this.removed = new Set();
  }

  /** Another channel, or the same one anew. */
  open(messages) {
    const last = messages.at(-1), shown = this.opened === this.place ? this.shown.values() : [];
    const came = [...shown, ...this.waiting].filter((one) => one.channel_id === this.channel && !(last && atOrBefore(one, last)));
    this.waiting = [];
    this.missed = 0;
    this.newer.hidden = true;
    this.oldest = messages.length < 50;
    this.shown = new Map([...messages, ...came].filter((one) => !this.removed?.has(one.id)).map((one) => [one.id, one]));
    this.removed = null;
    this.opened = this.place;
    this.#drawAll();
    this.follows = true;
    this.toEnd();
  }

  /** New or changed; drawn with the others that come before the next frame. */
  add(message) {
    if (!this.waiting.length) requestAnimationFrame(() => this.#take());
    this.waiting.push(message);
    if (this.waiting.length > 2 * SHOWN) this.waiting.splice(0, SHOWN);
  }

  remove(id) {
    const ids = [...this.shown.keys()], next = this.shown.get(ids[ids.indexOf(id) + 1]);
    this.removed?.add(id);
    this.waiting = this.waiting.filter((one) => one.id !== id);
    this.#item(id)?.remove();
    if (this.shown.delete(id) && next) this.#redraw(next); // it may have stood below the same name
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  #isAtEnd() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 120;
  }

  #item(id) {
    return this.list.querySelector(`:scope > [data-id="${id}"]`);
  }

  #take() {
    if (this.opened !== this.place) return;
    const taken = new Map(this.waiting.map((one) => [one.id, one])), follows = this.follows && !this.missed;
    this.waiting = [];
    const [first] = this.shown.values();
    const fresh = [...taken.values()].filter((one) => !this.shown.has(one.id) && (this.oldest || !first || atOrBefore(first, one)));
    for (const one of taken.values()) if (this.shown.has(one.id)) this.#redraw(one);
    if (follows) this.#append(fresh.slice(-SHOWN));
    else if (fresh.length) this.#count(fresh.length);
  }

  #append(fresh) {
    for (const one of fresh) {
      this.list.append(this.#draw(one, [...this.shown.values()].at(-1)));
      this.shown.set(one.id, one);
    }
    const over = [...this.shown.keys()].slice(0, Math.max(0, this.shown.size - SHOWN));
    for (const id of over) {
      this.shown.delete(id);
      this.#item(id)?.remove();
      this.oldest = false;
    }
    if (over.length) this.#redraw([...this.shown.values()][0]);
    this.toEnd();
  }

  /** Somebody reads further up: what is newer waits for them. */
  #count(number) {
    this.missed += number;
    this.newer.textContent = t("{count} newer – go there", { count: this.missed });
    this.newer.hidden = false;
  }

  #redraw(message) {
    const before = this.#item(message.id), ids = [...this.shown.keys()];
    const previous = this.shown.get(ids[ids.indexOf(message.id) - 1]);
    const { follows } = this, focused = document.activeElement, focus = before?.contains(focused) && focused.dataset.customId;
    const isSame = JSON.stringify(this.shown.get(message.id)?.components) === JSON.stringify(message.components);
    const kept = isSame && before?.querySelector(".components"); // with what is opened and ticked there
    this.shown.set(message.id, message);
    const after = this.#draw(message, previous);
    if (kept) after.querySelector(".components")?.replaceWith(kept);
    before?.replaceWith(after);
    if (after.contains(focused)) focused.focus();
    else if (focus) after.querySelector(`[data-custom-id="${CSS.escape(focus)}"]`)?.focus();
    if (follows) this.toEnd();
  }

  #drawAll() {
    let previous;
    this.list.replaceChildren(this.oldest ? this.#beginning() : "", ...[...this.shown.values()].map((one) => {
      const drawn = this.#draw(one, previous);
      previous = one;
      return drawn;
    }));
  }

  #beginning() {
    const place = this.page.channelName();
    return h("li", { class: "beginning" }, h("h3", {}, t("Welcome to {place}", { place })), h("p", {}, t("This is where it begins.")));
  }

  async #onScroll() {
    this.follows = this.#isAtEnd();
    if (this.missed && this.follows) return this.page.reopen();
    if (this.oldest || this.loading || this.scroll.scrollTop > 80 || !this.shown.size || this.opened !== this.place) return undefined;
    this.loading = true;
    const { place } = this, [first] = this.shown.keys(), earlier = await this.page.earlier(first).finally(() => { this.loading = false; });
    if (earlier && place === this.place && this.shown.has(first)) this.#prepend(earlier);
    return undefined;
  }

  #prepend(earlier) {
    this.oldest = earlier.length < 50;
    const together = [...earlier.map((one) => [one.id, one]), ...this.shown], last = this.list.lastElementChild;
    const top = last.offsetTop - this.scroll.scrollTop;
    this.shown = new Map(together);
    this.#drawAll();
    this.scroll.scrollTop = this.list.lastElementChild.offsetTop - top;
    if (together.length > MOST_SHOWN) this.#forget(together.slice(MOST_SHOWN));
  }

  /** The newest ones, which are far below what is read. */
  #forget(entries) {
    for (const [id] of entries) {
      this.shown.delete(id);
      this.#item(id)?.remove();
    }
    this.#count(entries.length);
  }

  /** One that cannot be drawn hides no other. */
  #draw(message, previous) {
    try {
      return this.#drawn(message, previous);
    } catch (error) {
      console.error(error);
      return h("li", { class: "message", "data-id": message.id }, h("p", { class: "system" }, t("This message cannot be shown.")));
    }
  }

  #drawn(message, previous) {
    const time = Date.parse(message.timestamp), { page } = this;
    const joined = previous && previous.author.id === message.author.id && !message.interaction_metadata && !message.message_reference
      && time - Date.parse(previous.timestamp) < TOGETHER_MS && previous.ephemeral === message.ephemeral;
    const author = page.names.display(message.author);
    return h("li", { class: `message${joined ? " joined" : ""}${message.ephemeral ? " ephemeral" : ""}${this.#mentions(message) ? " called" : ""}`, "data-id": message.id },
      !joined && this.#origin(message),
      !joined && h("span", { class: "face" }, avatar(message.author)),
      joined ? h("time", { class: "aside", datetime: message.timestamp }, clock(time))
        : h("p", { class: "head" }, this.#author(message, author), message.author.bot && h("span", { class: "badge" }, t("APP")),
          h("time", { datetime: message.timestamp, title: when(time, "F") }, clock(time))),
      h("div", { class: "body" }, ...(this.editing?.id === message.id ? this.editing.drawn : this.#body(message))),
      message.ephemeral && h("p", { class: "only-you" }, icon("eye", 14), t("Only you can see this")),
      !message.loading && this.#tools(message));
  }

  #author(message, name) {
    const apps = this.page.menuCommands(2);
    if (!apps.length) return h("strong", {}, name);
    return h("button", { type: "button", class: "author", onclick: () => this.page.openMenu(2, message) }, name);
  }

  #mentions(message) {
    return message.mention_everyone || message.mentions.some((one) => one.id === this.page.me);
  }

  #origin(message) {
    const used = message.interaction_metadata, replied = message.referenced_message;
    if (used) {
      const command = message.interaction?.name;
      return h("p", { class: "origin" }, avatar(used.user, 16), h("strong", {}, used.user.username), " ",
        command ? [t("used"), " ", h("code", {}, `/${command}`)] : t(used.type === 5 ? "filled in a form" : "pressed something"));
    }
    if (!replied) return null;
    return h("p", { class: "origin" }, avatar(replied.author, 16), h("strong", {}, replied.author.username), " ",
      h("span", { class: "cut" }, replied.content || t("an answer without text")));
  }

  #body(message) {
    const { page } = this;
    if (message.loading) return [h("p", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }, icon("dots", 22)), t("is thinking …"))];
    const forwarded = (message.message_snapshots ?? []).map((one) => h("blockquote", {}, markdown(one.message.content, page.names)));
    const inLayout = new Set((message.flags & 32768) ? message.attachments.map((one) => one.id) : []);
    return [
      SYSTEM[message.type] && h("p", { class: "system" }, t(SYSTEM[message.type])),
      message.content && h("div", { class: "text" }, markdown(message.content, page.names),
        message.edited_timestamp && !message.interaction_metadata && h("small", { class: "edited" }, ` (${t("edited")})`)),
      ...forwarded,
      ...message.embeds.map((one) => embed(one, page.names)),
      ...message.attachments.filter((one) => !inLayout.has(one.id)).map(attachment),
      ...(message.sticker_items ?? []).map((one) => h("p", { class: "system" }, t("Sticker: {name}", { name: one.name }))),
      message.poll && this.#poll(message),
      message.components.length > 0 && h("div", { class: "components" }, components(message, page)),
      this.#reactions(message),
    ];
  }

  /** A press chooses an answer, or takes it back; where there may be one alone, it is the last. */
  #poll(message) {
    const { poll } = message, isOver = poll.results.is_finalized;
    const isOwn = (id) => poll.voters[id].includes(this.page.me), textOf = (one) => one.poll_media.text;
    const choose = (event, chosen) => {
      const kept = poll.allow_multiselect ? poll.answers.filter((one) => one !== chosen && isOwn(one.answer_id)).map(textOf) : [];
      const answers = isOwn(chosen.answer_id) ? kept : [...kept, textOf(chosen)];
      this.page.interact(event.currentTarget, { act: "vote", channel: message.channel_id, message: message.id, answers });
    };
    return h("div", { class: "poll", role: "group", "aria-label": poll.question.text }, h("strong", {}, poll.question.text),
      h("small", {}, isOver ? t("The poll is over.") : poll.allow_multiselect ? t("Choose one or more.") : t("Choose one.")),
      poll.answers.map((one) => h("button", { type: "button", class: "button secondary", disabled: isOver, "aria-pressed": String(isOwn(one.answer_id)), "data-custom-id": `poll-${one.answer_id}`,
        onclick: (event) => choose(event, one) }, h("span", {}, emojiText(one.poll_media.emoji), " ", textOf(one)), h("span", { class: "count" }, poll.voters[one.answer_id].length))));
  }

  #reactions(message) {
    if (!message.reactions?.length) return null;
    return h("div", { class: "row" }, message.reactions.map(({ emoji, count, people }) => {
      const own = people.includes(this.page.me), name = emojiText(emoji);
      return h("button", { type: "button", class: "reaction", "aria-pressed": String(own), "aria-label": `${name} ${count}`,
        onclick: () => this.#act(message, own ? "unreact" : "react", { emoji: emoji.id ? `${emoji.name}:${emoji.id}` : emoji.name }) }, name, h("span", {}, count));
    }));
  }

  #tools(message) {
    const own = message.author.id === this.page.me, mayDelete = (own || this.page.channel.may_manage) && !message.ephemeral;
    const tool = (text, name, onclick) => h("button", { type: "button", class: "tool", title: name, "aria-label": name, onclick }, text);
    return h("div", { class: "tools" },
      !message.ephemeral && EMOJI.slice(0, 3).map((one) => tool(one, t("React with {emoji}", { emoji: one }), () => this.#act(message, "react", { emoji: one }))),
      !message.ephemeral && this.page.channel.may_send && tool(icon("reply"), t("Reply"), () => this.page.composer.replyTo(message)),
      !message.ephemeral && [0, 5].includes(this.page.channel.type) && !message.thread && tool(icon("thread"), t("Start a thread"), () => this.page.startThread(message)),
      !message.ephemeral && this.page.channel.may_pin && tool(icon("pin"), message.pinned ? t("Unpin") : t("Pin"), () => this.#act(message, message.pinned ? "unpin" : "pin")),
      own && tool(icon("pencil"), t("Edit"), () => this.#edit(message)),
      mayDelete && tool(icon("trash"), t("Delete"), () => this.#act(message, "delete")),
      this.page.menuCommands(3).length > 0 && !message.ephemeral && tool(icon("dots"), t("Apps"), () => this.page.openMenu(3, message)));
  }

  #act(message, act, more = {}) {
    return this.page.act({ act, channel: message.channel_id, message: message.id, ...more });
  }

  #edit(message) {
    const before = this.shown.get(this.editing?.id);
    const field = h("textarea", { rows: 2, maxlength: 2000, "aria-label": t("Edit"), value: message.content, onkeydown: async (event) => {
      if (event.key === "Escape") this.#endEditing();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (await this.#act(message, "edit", { content: field.value })) this.#endEditing();
    } });
    this.editing = { id: message.id, drawn: [field, h("small", {}, t("Enter saves, Escape cancels"))] };
    for (const one of [before, message]) if (one) this.#redraw(one);
    field.focus();
  }

  #endEditing() {
    const edited = this.shown.get(this.editing?.id);
    this.editing = null;
    if (edited) this.#redraw(edited);
    this.page.composer.focus();
  }
}

const atOrBefore = (one, other) => BigInt(one.id) <= BigInt(other.id);
