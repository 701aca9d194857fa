// Where a person writes: text, files, and commands after a slash.

import { Combobox } from "./combobox.js";
import { CommandForm, flat } from "./commands.js";
import { byId, h, notify } from "./dom.js";
import { icon } from "./icons.js";
import { fileValue, MOST_BYTES } from "./modal.js";
import { t } from "./texts.js";

const TYPING_EVERY_MS = 8000, MOST_FILES = 10;

export class Composer {
  constructor(page) {
    Object.assign(this, { page, place: byId("composer"), files: [], reply: null, typedAt: 0, sent: Promise.resolve() });
    this.field = h("textarea", { id: "text", rows: 1, maxlength: 2000 });
    this.above = h("div", { class: "above" });
    this.picker = h("input", { type: "file", multiple: true, hidden: true, onchange: () => this.#attach(this.picker.files) });
    this.attach = h("button", { class: "tool", type: "button", onclick: () => this.picker.click() }, icon("plus", 20));
    this.box = new Combobox(this.field, { suggest: (text) => this.#suggest(text), onPick: (one) => this.#begin(one.value), label: t("Commands") });
    this.plain = h("form", { class: "plain", onsubmit: (event) => { event.preventDefault(); this.#enter(); } },
      this.attach, this.picker, this.field, h("button", { class: "send", type: "submit", "aria-label": t("Send") }, icon("send", 20)));
    this.field.addEventListener("keydown", (event) => this.#onKey(event));
    this.field.addEventListener("input", () => this.#onInput());
    this.field.addEventListener("paste", (event) => this.#attach(event.clipboardData.files));
    this.place.addEventListener("dragover", (event) => event.preventDefault());
    this.place.addEventListener("drop", (event) => { event.preventDefault(); this.#attach(event.dataTransfer.files); });
    this.attach.setAttribute("aria-label", t("Attach files"));
  }

  /** Another channel, with what was begun there. */
  open(channel, name) {
    this.#leave();
    this.field.value = this.page.draft(channel.id);
    this.name(channel, name);
    this.#fit();
  }

  /** As that channel is called, and what one may do there. */
  name(channel, name) {
    const label = channel.may_send ? t("Message {place} – “/” for commands", { place: name }) : t("You may not write here; “/” for commands");
    this.field.placeholder = label;
    this.field.setAttribute("aria-label", label);
    this.attach.hidden = !channel.may_send;
  }

  focus() { this.field.focus(); }

  replyTo(message) {
    this.reply = message;
    this.#drawAbove();
    this.field.focus();
  }

  #leave() {
    Object.assign(this, { files: [], reply: null });
    if (!this.plain.isConnected) this.place.replaceChildren(this.box.list, this.above, this.plain); // else it would lose the focus
    this.#drawAbove();
  }

  async #suggest(text) {
    if (!text.startsWith("/") || text.includes("\n")) return [];
    const wanted = text.slice(1).toLowerCase().trim();
    const matching = (commands) => flat(commands).filter((one) => `${one.shown} ${one.path}`.toLowerCase().includes(wanted));
    const known = matching(await this.page.commands());
    const found = known.length ? known : matching(await this.page.commands({ anew: true })); // one may just have come
    return found.map((one) => ({ label: `/${one.shown}`, hint: one.description, value: one }));
  }

  #begin(command) {
    this.field.value = "";
    this.#onInput();
    const cancel = () => { this.#leave(); this.field.focus(); };
    const form = new CommandForm(command, this.page, { onCancel: cancel, onSend: async (_, options) => {
      const { id } = this.page.channel;
      cancel();
      const isTaken = await this.page.interact(null, { act: "command", path: command.path, options, channel: id });
      if (isTaken || this.page.channel.id !== id || this.field.value) return;
      this.place.replaceChildren(form.element);
      form.focus();
    } });
    this.place.replaceChildren(form.element);
    form.focus();
  }

  /** A command that is being typed is taken, also where what is offered is still on its way. */
  async #enter() {
    if (this.field.value.startsWith("/")) await this.box.asking;
    if (this.box.isOpen) this.box.pick();
    else this.#send();
  }

  /** In the order in which they were written. What was refused is in the field again. */
  async #send() {
    const content = this.field.value.trim(), { files, reply } = this, { id } = this.page.channel;
    if (!content && !files.length) return;
    this.field.value = "";
    this.#onInput();
    this.#leave();
    this.sent = this.sent.then(() => this.page.act({ act: "send", channel: id, content, files, reply_to: reply?.id }));
    if (await this.sent) return;
    const text = [content, this.page.draft(id)].filter(Boolean).join("\n");
    this.page.keepDraft(text, id);
    if (this.page.channel.id !== id) return;
    Object.assign(this, { files, reply });
    this.field.value = text;
    this.#fit();
    this.#drawAbove();
  }

  #onKey(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !this.box.isOpen) {
      event.preventDefault();
      this.#enter();
    } else if (event.key === "Escape" && (this.reply || this.files.length)) this.#leave();
  }

  #onInput() {
    this.page.keepDraft(this.field.value);
    this.#fit();
    const isText = this.field.value && !this.field.value.startsWith("/");
    if (!isText || !this.page.channel.may_send || Date.now() - this.typedAt < TYPING_EVERY_MS) return;
    this.typedAt = Date.now();
    this.page.ask({ act: "typing" });
  }

  #fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, 200)}px`;
  }

  async #attach(files) {
    const sizes = [...files].map((file) => file.size).concat(this.files.map(([, text]) => text.length * 0.75));
    if (sizes.reduce((sum, size) => sum + size, 0) > MOST_BYTES) return notify(t("Files may have 10 MB together."));
    const values = await Promise.all([...files].map(async (file) => (await fileValue(file)).file));
    this.files = [...this.files, ...values].slice(0, MOST_FILES);
    this.picker.value = "";
    this.#drawAbove();
  }

  #drawAbove() {
    const drop = (text, onclick) => h("span", { class: "chip" }, text, h("button", { type: "button", class: "tool", "aria-label": t("Remove"), onclick }, icon("close", 14)));
    this.above.replaceChildren(...[
      this.reply && drop(t("Reply to {name}", { name: this.page.names.display(this.reply.author) }), () => { this.reply = null; this.#drawAbove(); }),
      ...this.files.map((file) => drop(file[0], () => { this.files = this.files.filter((one) => one !== file); this.#drawAbove(); })),
    ].filter(Boolean));
  }
}
