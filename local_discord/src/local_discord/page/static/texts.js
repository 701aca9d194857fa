// What the page says: English as it is written in the modules, and in whatever language has a catalogue.

import { DE } from "./de.js";

const REGIONAL = ["en-US", "en-GB", "es-ES", "es-419", "pt-BR", "sv-SE", "zh-CN", "zh-TW"];

export const locale = navigator.language || "en-US";
const [language] = locale.split("-");

/** The same among those that Discord has. */
export const discordLocale = REGIONAL.find((one) => one === locale) ?? REGIONAL.find((one) => one.startsWith(`${language}-`)) ?? language;

const german = language === "de";
const catalogue = { ...DE };

document.documentElement.lang = german ? "de" : "en";

/** More texts, by their English. */
export function addTexts(german) {
  Object.assign(catalogue, german);
}

/** The text in the browser's language, with `{name}` replaced by values. */
export function t(english, values = {}) {
  const text = german ? catalogue[english] ?? english : english;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const STYLES = {
  t: { timeStyle: "short" }, T: { timeStyle: "medium" }, s: { dateStyle: "short", timeStyle: "short" }, S: { dateStyle: "short", timeStyle: "medium" }, d: { dateStyle: "short" }, D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" }, F: { dateStyle: "full", timeStyle: "short" },
};

/** “in 3 hours”, from a time in milliseconds. */
export function ago(time) {
  const seconds = Math.round((time - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return relative.format(Math.round(seconds / size), unit);
}

/** A time in one of Discord's styles. */
export function when(time, style = "f") {
  return style === "R" ? ago(time) : new Intl.DateTimeFormat(locale, STYLES[style] ?? STYLES.f).format(time);
}

export const clock = (time) => when(time, "t");
