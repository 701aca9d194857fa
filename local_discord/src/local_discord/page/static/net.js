// Asking the server, and following what changes.

import { discordLocale } from "./texts.js";

export class Refused extends Error {}

/** The server does not let this tab in any more. */
export class Ended extends Error {}

/** There was no answer. */
export class Away extends Error {}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Away();
  }
  const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
  if (response.status === 403) throw new Ended();
  if (!response.ok) throw new Refused(isJson ? (await response.json()).message : await response.text());
  return isJson ? response.json() : null;
}

const query = (values) => new URLSearchParams({ locale: discordLocale, ...values }).toString();

/** JSON of an address of the server's. */
export const get = (path, values = {}) => asked(`${path}?${query(values)}`);

/** Sends a form; what came of it. */
export const post = (path, values, form) =>
  asked(`${path}?${query(values)}`, {
    method: "POST", body: JSON.stringify(form), headers: { "Content-Type": "application/json" },
  });

/** Calls `onChanges` with each batch after `after`, until `stop`; reconnects, and says `onReset` when too much was missed. */
export function follow({ person, epoch, after }, { onChanges, onReset, onState }) {
  let sequence = after, socket = null, stopped = false, waiting = 250;
  const connect = () => {
    const address = new URL(`/follow?${query({ person, epoch, after: sequence })}`, location.href);
    address.protocol = "ws:";
    socket = new WebSocket(address);
    socket.onopen = () => { waiting = 250; onState(true); };
    socket.onmessage = (event) => {
      if (stopped) return;
      const told = JSON.parse(event.data);
      if (told.reset) { stopped = true; onReset(); return; }
      sequence = told.sequence;
      onChanges(told.changes);
    };
    socket.onclose = () => {
      if (stopped) return;
      onState(false);
      setTimeout(connect, waiting);
      waiting = Math.min(waiting * 2, 5000);
    };
  };
  connect();
  return () => { stopped = true; socket.close(); };
}
