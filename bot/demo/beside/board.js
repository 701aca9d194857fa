// Beside the page: the sandboxes, and the events as they reach them.

import { h } from "/static/dom.js";
import { bytes } from "/static/embeds.js";
import { stamp } from "/static/markdown.js";
import { get, post } from "/static/net.js";
import { addTexts, t, when } from "/static/texts.js";
import { DE } from "./board-de.js";

const SHOWN = 200;
const COMMAND = "sandbox-worker run -- python bot.py";

/** Called once by the page. */
export async function start(page) {
  addTexts(DE);
  document.head.append(h("link", { rel: "stylesheet", href: "/beside/board.css" }));
  const board = new Board(page);
  await board.read();
  setInterval(() => board.drawBars(), 1000);
}

class Board {
  constructor(page) {
    Object.assign(this, { page, sandboxes: [], waiting: [], rows: new Map(), wanted: "" });
    this.cards = h("div", { class: "cards" });
    this.events = h("ol", { class: "events" });
    this.none = h("p", { class: "none" }, t("Nothing yet. Write something in a server that is bound to a sandbox."));
    this.filter = h("select", { "aria-label": t("Events of"), onchange: () => this.#choose(this.filter.value) });
    const column = page.openBeside(t("Sandboxes and events"));
    column.append(h("header", { class: "beside-head" }, h("h2", {}, t("Sandboxes"))), this.cards,
      h("header", { class: "beside-head" }, h("h2", {}, t("Events")), this.filter,
        h("button", { type: "button", class: "tool", onclick: () => this.#clear() }, t("Clear"))),
      h("div", { class: "stream", tabindex: 0, role: "region", "aria-label": t("Events") }, this.none, this.events));
    page.on("state", () => this.read());
    page.on("sandboxes", (sandboxes) => this.#show(sandboxes));
    page.on("event", (event) => this.#take(event));
  }

  async read() {
    const told = await this.page.asked(get("/sandboxes"));
    if (!told) return;
    this.#show(told.sandboxes);
    this.#clear();
    this.waiting = told.events.slice(-SHOWN);
    this.#draw();
  }

  #show(sandboxes) {
    const focused = document.activeElement?.dataset?.key;
    this.sandboxes = sandboxes;
    const cards = sandboxes.length ? sandboxes.map((one) => this.#kept(one)) : [this.#welcome()];
    if (cards.some((one, index) => one !== this.cards.children[index]) || cards.length !== this.cards.children.length) this.cards.replaceChildren(...cards);
    if (focused && document.activeElement?.dataset?.key !== focused) this.cards.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.#drawFilter();
    for (const { event, row } of this.rows.values()) this.#drawTakers(event, row);
  }

  #welcome() {
    const begin = () => {
      const field = document.getElementById("text");
      field.focus();
      field.value = "/sandbox create";
      field.dispatchEvent(new Event("input"));
    };
    return h("div", { class: "card" }, h("p", {}, t("A sandbox is a slice of the databases, and of the events, that belongs to one developer for a while.")),
      h("button", { type: "button", class: "button primary", onclick: begin }, t("Create the first one")));
  }

  /** The card that is there, if nothing on it has changed; else a new one, with what was opened and answered on it. */
  #kept(one) {
    const before = this.cards.querySelector(`[data-id="${one.id}"]`), key = JSON.stringify({ ...one, takers: [] });
    if (before?.dataset.told === key) return before;
    const card = this.#card(one, new Set([...(before?.querySelectorAll("details[open]") ?? [])].map((each) => each.dataset.key)));
    card.dataset.told = key;
    const health = before?.querySelector(".health");
    if (health) card.querySelector(".health").replaceWith(health);
    return card;
  }

  /** How much of each life is left. */
  drawBars() {
    for (const one of this.sandboxes) this.cards.querySelector(`[data-id="${one.id}"] progress`).value = left(one);
  }

  #card(one, open) {
    const running = one.status === "running";
    const details = (key, title, ...inner) => h("details", { "data-key": `${key}-${one.id}`, open: open.has(`${key}-${one.id}`) },
      h("summary", { "data-key": `${key}-${one.id}-summary` }, title), ...inner);
    return h("article", { class: `card ${one.status}`, "data-id": one.id, "data-name": one.name },
      h("header", {}, h("h3", {}, one.name), h("span", { class: "status" }, t(one.status))),
      h("p", { class: "of" }, t("{owner}’s", { owner: one.owner }), one.servers.length > 0 && [" · ", one.servers.map((name) => h("span", { class: "server-name" }, name))],
        !one.servers.length && [" · ", t("no server bound")]),
      h("p", { class: "expiry" }, t(one.status === "expired" ? "expired" : "expires"), " ", stamp(one.expires_at * 1000, "R"), bar(one),
        running && h("button", { type: "button", class: "button secondary small", "data-key": `near-${one.id}`, onclick: () => this.#bringNear(one) }, t("Expire soon"))),
      details("stores", t("Stores"), h("dl", {}, Object.entries(one.stores).map(([store, name]) => [h("dt", {}, store), h("dd", {}, h("code", {}, name))])),
        h("button", { type: "button", class: "button secondary small", "data-key": `health-${one.id}`, onclick: (event) => this.#check(one, event.currentTarget) }, t("Ask them")), h("div", { class: "health", "aria-live": "polite" })),
      running && details("bot", t("Your own bot in it"), h("p", {}, t("“/sandbox connect” attaches a .env file. Beside it:")), copied(COMMAND)));
  }

  async #bringNear(one) {
    await this.page.asked(post(`/sandboxes/${one.id}/near`, {}, {}));
  }

  async #check(one, button) {
    const place = button.nextElementSibling;
    button.disabled = true;
    const told = await this.page.asked(get(`/sandboxes/${one.id}/health`));
    button.disabled = false;
    if (!told) return;
    place.replaceChildren(h("ul", {}, Object.values(told.stores).map((store) => h("li", { class: store.ok ? "ok" : "bad" }, store.summary))),
      ...told.reasons.map((reason) => h("p", {}, reason)));
  }

  // Events.

  #take(event) {
    if (!this.waiting.length) requestAnimationFrame(() => this.#draw());
    this.waiting.push(event);
    if (this.waiting.length > 2 * SHOWN) this.waiting.splice(0, SHOWN);
  }

  #draw() {
    const fresh = this.waiting.splice(0).slice(-SHOWN);
    for (const event of fresh) {
      const row = this.#row(event);
      this.rows.set(`${event.sandbox}:${event.sequence}`, { event, row });
      this.events.prepend(row);
    }
    for (const key of [...this.rows.keys()].slice(0, Math.max(0, this.rows.size - SHOWN))) {
      this.rows.get(key).row.remove();
      this.rows.delete(key);
    }
    this.none.hidden = this.rows.size > 0;
  }

  #row(event) {
    const again = event.headers["Sandbox-Sent-Again"], name = this.#name(event.sandbox);
    const head = h("button", { type: "button", class: "event-head", "aria-expanded": "false", onclick: () => this.#toggle(event, row, head) },
      h("span", { class: "event-name" }, event.name), again && h("span", { class: "again", title: `Sandbox-Sent-Again: ${again}` }, t("again")),
      h("span", { class: "event-told cut" }, event.told), h("span", { class: "event-meta" }, h("span", { class: "event-sandbox" }, name), ` #${event.sequence} · ${bytes(event.size)} · ${when(event.at * 1000, "T")}`),
      h("span", { class: "takers" }));
    const row = h("li", { class: "event", "data-name": event.name, hidden: Boolean(this.wanted) && this.wanted !== event.sandbox }, head);
    this.#drawTakers(event, row);
    return row;
  }

  #drawTakers(event, row) {
    const found = this.sandboxes.find((one) => one.id === event.sandbox)?.takers ?? [];
    const by = found.filter((one) => one.after < event.sequence && event.sequence <= one.up_to).map((one) => one.by);
    const place = row.querySelector(".takers"), told = by.join(", ");
    if (!by.length || place.dataset.by === told) return;
    place.dataset.by = told;
    place.replaceChildren(t("taken by {names}", { names: told }));
  }

  async #toggle(event, row, head) {
    const open = head.getAttribute("aria-expanded") === "true";
    head.setAttribute("aria-expanded", String(!open));
    row.querySelector(".payload")?.remove();
    if (open) return;
    const told = await this.page.asked(get(`/sandboxes/${event.sandbox}/events/${event.sequence}`));
    if (!told || row.querySelector(".payload")) return;
    const again = h("button", { type: "button", class: "button secondary small", onclick: () => this.page.asked(post(`/sandboxes/${event.sandbox}/events/${event.sequence}/again`, {}, {})) }, t("Send again"));
    row.append(h("div", { class: "payload" }, h("p", {}, h("code", {}, told.subject)),
      h("dl", {}, Object.entries(told.headers).map(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, value))])),
      h("pre", { tabindex: 0, "aria-label": t("Payload") }, h("code", {}, pretty(told.text))), again));
  }

  #choose(sandbox) {
    this.wanted = sandbox;
    for (const { event, row } of this.rows.values()) row.hidden = Boolean(sandbox) && event.sandbox !== sandbox;
  }

  #clear() {
    this.rows.clear();
    this.events.replaceChildren();
    this.none.hidden = false;
  }

  #drawFilter() {
    this.filter.replaceChildren(h("option", { value: "" }, t("all")), ...this.sandboxes.map((one) => h("option", { value: one.id, selected: one.id === this.wanted }, one.name)));
  }

  #name(id) {
    return this.sandboxes.find((one) => one.id === id)?.name ?? id.slice(0, 8);
  }
}

const left = (one) => Math.max(0, one.expires_at - Date.now() / 1000);

const bar = (one) => h("progress", { max: one.expires_at - one.created_at, value: left(one), "aria-hidden": "true" });

function copied(text) {
  const button = h("button", { type: "button", class: "tool", onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = t("copied");
  } }, t("copy"));
  return h("p", { class: "copied" }, h("code", {}, text), button);
}

/** Indented, with every digit of the numbers as it came. */
function pretty(text) {
  const strings = [];
  const bare = text.replace(/"(?:[^"\\]|\\.)*"/g, (whole) => `\u0001${strings.push(whole) - 1}\u0002`);
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const spread = bare.replace(/([[{])(?=[\]}])[\]}]|[[{,:\]}]/g, (sign) => {
    if (sign.length === 2) return sign;
    if ("[{".includes(sign)) { depth += 1; return sign + line(); }
    if ("]}".includes(sign)) { depth -= 1; return line() + sign; }
    return sign === "," ? sign + line() : `${sign} `;
  });
  return spread.replace(/\u0001(\d+)\u0002/g, (_, number) => strings[number]);
}
