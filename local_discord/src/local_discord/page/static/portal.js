// What the application's owner does in the developer portal.

import { h } from "./dom.js";
import { openModal } from "./modal.js";
import { t } from "./texts.js";

const TEXT = 10;

/** Asks first, and shows the new token. */
export function askToResetToken(page) {
  const warning = t("The token of now opens nothing any more, and the bot's connections end.");
  openModal({ title: t("Reset the bot's token"), components: [{ type: TEXT, content: warning }] }, page, async () => {
    const told = await page.act({ act: "reset_token" });
    if (told) showToken(told.token);
    return told !== null;
  });
}

function showToken(token) {
  const dialog = h("dialog", { class: "modal", "aria-label": t("The bot's new token"), onclose: () => dialog.remove() },
    h("h2", {}, t("The bot's new token")), h("p", {}, h("code", {}, token)),
    h("div", { class: "row end" }, h("button", { type: "button", class: "button primary", onclick: () => dialog.close() }, t("Close"))));
  document.body.append(dialog);
  dialog.showModal();
}
