// The page: one person, one open channel, and what changes around them.

import { Composer } from "./composer.js";
import { byId, h, notify, speak } from "./dom.js";
import { icon } from "./icons.js";
import { Messages } from "./messages.js";
import { openModal } from "./modal.js";
import { Away, Ended, follow, get, post } from "./net.js";
import { drawMissed, drawSidebar } from "./sidebar.js";
import { t } from "./texts.js";

const TYPING_SHOWN_MS = 9000, COMMANDS_KEPT_MS = 3000, SERVER_AWAY_MS = 4000, READ_AGAIN_MS = 1000;

class Page {
  constructor() {
    this.unread = new Set();
    this.typing = new Map();
    this.listeners = new Map();
    this.offered = { at: 0, channel: "", commands: Promise.resolve([]) };
    this.theme = localStorage.getItem("theme");
    if (this.theme) document.documentElement.dataset.theme = this.theme;
    this.messages = new Messages(this);
    this.composer = new Composer(this);
    this.names = {
      user: (id) => this.#user(id)?.username ?? id,
      role: (id) => this.#guilds().flatMap((one) => one.roles).find((one) => one.id === id)?.name ?? id,
      channel: (id) => this.find(id)?.name ?? id,
      display: (user) => this.guildOf(this.channel.id)?.members.find((one) => one.id === user.id)?.nick ?? user.username,
    };
  }

  async start() {
    document.querySelector(".skip").textContent = t("To the text field");
    await this.read(sessionStorage.getItem("person"));
    for (const module of this.state.modules) await (await import(module)).start(this);
    document.body.dataset.ready = "true";
  }

  get me() { return this.state.me; }

  /** The whole state anew, as that person, who is nobody else in this tab from then on. */
  async read(person) {
    this.stop?.();
    try {
      this.state = await get("/state", person ? { person } : {});
    } catch (error) {
      if (error instanceof Away) return this.#readAgain(person);
      if (error instanceof Ended || !person) return this.end();
      return this.read(null);
    }
    this.#back();
    sessionStorage.setItem("person", this.me);
    drawMissed(this.state.missed);
    this.stop = follow({ person: this.me, epoch: this.state.epoch, after: this.state.sequence }, {
      onChanges: (changes) => this.#take(changes), onReset: () => this.read(this.me), onState: (open) => this.#onState(open) });
    const wanted = sessionStorage.getItem("channel"), first = this.#guilds()[0]?.channels.find((one) => one.holds_messages);
    await this.openChannel((this.find(wanted) ?? first ?? this.state.direct).id);
    return this.#tell("state", null);
  }

  async #readAgain(person) {
    this.#away();
    await new Promise((resolve) => setTimeout(resolve, READ_AGAIN_MS));
    return this.read(person);
  }

  async openChannel(id) {
    if (id !== this.channel?.id) this.#forgetTyping();
    this.channel = this.find(id);
    sessionStorage.setItem("channel", id);
    this.unread.delete(id);
    document.body.dataset.pane = "chat";
    this.#drawHead();
    drawSidebar(this);
    this.composer.open(this.channel, this.channelName());
    await this.reopen();
  }

  /** The latest messages of the open channel. */
  async reopen() {
    const { id } = this.channel;
    this.messages.begin(this.me, id);
    await this.commands();
    const messages = await this.asked(get(`/channels/${id}/messages`, { person: this.me }));
    if (this.channel.id === id) this.messages.open(messages ?? []);
  }

  earlier(before) {
    return this.asked(get(`/channels/${this.channel.id}/messages`, { person: this.me, before }));
  }

  openServer(server) {
    const places = server.channels.filter((one) => one.holds_messages);
    const place = places.find((one) => this.unread.has(one.id)) ?? places[0];
    if (place) this.openChannel(place.id);
  }

  become(person) {
    this.unread.clear();
    return this.read(person).then(() => byId("person").focus());
  }

  setTheme(theme) {
    this.theme = theme;
    localStorage.setItem("theme", theme);
    document.documentElement.dataset.theme = theme;
    drawSidebar(this);
  }

  // Acting.

  /** What the server says to an act, or null if it refused and the person was told why. */
  act(form) {
    return this.asked(post("/acts", { person: this.me }, form));
  }

  /** The same in the open channel, and in silence. */
  ask(form) {
    return post("/acts", { person: this.me }, { channel: this.channel.id, ...form }).catch(() => null);
  }

  /** An act that the bot has to answer, by `element` if that can be pressed. */
  async interact(element, form) {
    if (element) Object.assign(element, { disabled: true, ariaBusy: "true" });
    const told = await this.act(form);
    if (element) Object.assign(element, { disabled: false, ariaBusy: null });
    if (told?.failed) notify(t("The application did not respond"));
    if (told?.modal) openModal(told.modal, this, async (fields) => (await this.interact(null, { act: "submit", modal: told.modal.key, fields })) !== null);
    return told;
  }

  startThread(message) {
    const act = { act: "start_thread", channel: message.channel_id, message: message.id };
    return this.#asking(t("Start a thread"), [{ custom_id: "name", label: t("Name"), max_length: 100 }], act);
  }

  /** In a forum. */
  post(forum) {
    const fields = [{ custom_id: "title", label: t("Title"), max_length: 100 }, { custom_id: "content", label: t("Text"), max_length: 2000, style: 2 }];
    return this.#asking(t("New post in {place}", { place: `#${forum.name}` }), fields, { act: "post", channel: forum.id });
  }

  /** A form of the page's own, and the channel that comes of it. */
  #asking(title, fields, act) {
    const components = fields.map((field) => ({ type: 1, components: [{ type: 4, ...field }] }));
    openModal({ title, components }, this, async (values) => {
      const made = await this.act({ ...act, ...values });
      if (made) this.wanted = made.id;
      return made !== null;
    });
  }

  // What there is.

  find(id) {
    return [this.state.direct, ...this.#guilds().flatMap((one) => one.channels)].find((one) => one.id === id);
  }

  guildOf(id) {
    return this.#guilds().find((one) => one.channels.some((place) => place.id === id));
  }

  channelName(channel = this.channel) {
    return channel.recipients ? `@${this.state.bot.username}` : `#${channel.name}`;
  }

  /** What may be chosen of a kind: users, roles or channels of the open server. */
  entities(kind, channelId, types) {
    const guild = this.guildOf(channelId ?? this.channel.id);
    if (kind === "user") return (guild?.members ?? this.state.people).map((one) => ({ id: one.id, name: one.nick ?? one.username }));
    if (kind === "role") return guild?.roles ?? [];
    return (guild?.channels ?? []).filter((one) => !types?.length || types.includes(one.type)).map((one) => ({ id: one.id, name: `#${one.name}` }));
  }

  /** The bot's commands here, as they are now or, unless they are wanted `anew`, were a moment ago. */
  commands({ anew = false } = {}) {
    const { id } = this.channel, { offered } = this;
    if (anew || offered.channel !== id || offered.person !== this.me || Date.now() - offered.at > COMMANDS_KEPT_MS) {
      const commands = get(`/channels/${id}/commands`, { person: this.me }).catch(() => []).then((found) => (this.known = found));
      this.offered = { at: Date.now(), channel: id, person: this.me, commands };
    }
    return this.offered.commands;
  }

  menuCommands(type) {
    return (this.known ?? []).filter((one) => one.type === type);
  }

  /** The bot's commands for a message, or for its author. */
  openMenu(type, message) {
    const target = type === 3 ? { message: message.id } : { user: message.author.id };
    const use = (name) => { dialog.close(); this.interact(null, { act: "use_on", name, channel: message.channel_id, ...target }); };
    const dialog = h("dialog", { class: "modal small", "aria-label": t("Apps"), onclose: () => dialog.remove() },
      this.menuCommands(type).map((one) => h("button", { type: "button", class: "button plain wide", onclick: () => use(one.name) }, one.name)),
      h("button", { type: "button", class: "button secondary wide", onclick: () => dialog.close() }, t("Cancel")));
    document.body.append(dialog);
    dialog.showModal();
  }

  draft(channel) { return sessionStorage.getItem(`draft-${channel}`) ?? ""; }

  keepDraft(text, channel = this.channel.id) { sessionStorage.setItem(`draft-${channel}`, text); }

  /** What a module beside the page wants to hear of: a kind of change, or `state` for all anew. */
  on(kind, listener) { this.listeners.set(kind, listener); }

  // Changes.

  #take(changes) {
    for (const { kind, data } of changes) this.#takeOne(kind, data);
    if (this.redraws) { this.redraws = false; drawSidebar(this); }
  }

  #takeOne(kind, data) {
    if (kind === "message") this.#takeMessage(data);
    else if (kind === "gone") this.messages.remove(data.id);
    else if (kind === "typing" && data.channel === this.channel.id) this.#showTyping(data.user);
    else if (kind === "world") this.#refresh();
    else if (kind === "missed") drawMissed(data);
    else this.#tell(kind, data);
  }

  #takeMessage(message) {
    this.typing.delete(message.author.id);
    if (message.channel_id === this.channel.id) {
      if (!message.loading && message.author.bot) speak(`${message.author.username}: ${message.content || message.embeds[0]?.title || ""}`);
      this.messages.add(message);
      this.#drawTyping();
    } else if (!this.unread.has(message.channel_id) && !message.edited_timestamp) {
      this.unread.add(message.channel_id);
      this.redraws = true;
    }
  }

  /** Servers, channels or members have changed: read once for all that come together. */
  #refresh() {
    clearTimeout(this.refreshing);
    this.refreshing = setTimeout(async () => {
      const state = await this.asked(get("/state", { person: this.me }));
      if (!state || state.me !== this.me) return;
      this.state = state;
      if (!this.find(this.channel.id)) await this.openChannel(this.state.direct.id);
      if (this.find(this.wanted)) await this.openChannel(this.wanted);
      this.wanted = null;
      this.channel = this.find(this.channel.id);
      this.#drawHead();
      drawSidebar(this);
      this.composer.name(this.channel, this.channelName());
    }, 150);
  }

  #showTyping(id) {
    clearTimeout(this.typing.get(id));
    this.typing.set(id, setTimeout(() => { this.typing.delete(id); this.#drawTyping(); }, TYPING_SHOWN_MS));
    this.#drawTyping();
  }

  #forgetTyping() {
    for (const timer of this.typing.values()) clearTimeout(timer);
    this.typing.clear();
    this.#drawTyping();
  }

  #drawTyping() {
    const names = [...this.typing.keys()].map((id) => this.names.user(id));
    byId("typing").textContent = names.length ? t("{names} is typing …", { names: names.join(", ") }) : "";
  }

  #drawHead() {
    const pane = (name, text, label) => h("button", { type: "button", class: `tool pane ${name}`, "aria-label": label, onclick: () => {
      document.body.dataset.pane = document.body.dataset.pane === name ? "chat" : name;
    } }, text);
    byId("channel-head").replaceChildren(pane("nav", icon("menu", 20), t("Servers and channels")), h("h2", {}, this.channelName()),
      h("p", { class: "cut topic" }, this.channel.topic ?? ""), ...(byId("beside").hidden ? [] : [pane("beside", icon("panel", 20), this.besideLabel)]));
    byId("scroll").setAttribute("aria-label", t("Messages in {place}", { place: this.channelName() }));
    document.title = `${this.channelName()} · ${this.guildOf(this.channel.id)?.name ?? t("Direct messages")}`;
  }

  /** A column of one's own at the right; its element. */
  openBeside(label) {
    const beside = byId("beside");
    this.besideLabel = label;
    beside.hidden = false;
    beside.setAttribute("aria-label", label);
    document.body.classList.add("with-beside");
    this.#drawHead();
    return beside;
  }

  #onState(open) {
    document.body.classList.toggle("away", !open);
    if (open) {
      clearTimeout(this.checking);
      this.checking = null;
      this.#back();
    } else this.checking ??= setTimeout(() => this.#check(), SERVER_AWAY_MS);
  }

  async #check() {
    await this.asked(get("/state", { person: this.me }));
    this.checking = setTimeout(() => this.#check(), SERVER_AWAY_MS);
  }

  /** The line is cut, or the server has ended: that is the same from here. */
  #away() {
    this.isAway = true;
    notify(t("The page’s server does not answer. If it has ended, start it again and open its new address."), { stays: true });
  }

  #back() {
    if (this.isAway) byId("notice").hidden = true;
    this.isAway = false;
  }

  /** The server does not know this tab: it was started anew. */
  end() {
    this.stop?.();
    clearTimeout(this.checking);
    notify(t("The page’s server was started anew. Open its new address."), { stays: true });
  }

  /** What comes of a request; null where nothing does, and then the person was told why. */
  async asked(promise) {
    try {
      const told = await promise;
      this.#back();
      return told;
    } catch (error) {
      if (error instanceof Ended) this.end();
      else if (error instanceof Away) this.#away();
      else notify(error.message);
      return null;
    }
  }

  #tell(kind, data) { this.listeners.get(kind)?.(data); }

  #guilds() { return this.state.guilds; }

  #user(id) {
    const everybody = [...this.state.people, this.state.bot, ...this.#guilds().flatMap((one) => one.members)];
    return everybody.find((one) => one.id === id);
  }
}

new Page().start();
