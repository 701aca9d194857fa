// Leads this Node program to the forwarder of `sandbox-worker run` when it asks for Discord.
//
// Node loads it by itself, for it stands in NODE_OPTIONS. Names of Discord resolve to an address that nobody has, and a
// connection to that goes to the forwarder. For such a name TLS trusts the run's own authority alone: whatever way round
// this a program finds, it ends at a certificate that is not the relay's, and before the token is sent.
"use strict";

const dns = require("node:dns");
const net = require("node:net");
const tls = require("node:tls");

const domains = process.env.SANDBOX_RUN_DOMAINS.split(",");
const notLed = process.env.SANDBOX_RUN_NOT_LED.split(",");
const [forwarderHost, forwarderPort] = process.env.SANDBOX_RUN_FORWARDER.split(":");
const address = "127.83.66.88";
const trust = tls.createSecureContext({ ca: process.env.SANDBOX_RUN_AUTHORITY });

function isLed(host) {
  if (typeof host !== "string") return false;
  const name = host.toLowerCase().replace(/\.+$/, "");
  return !notLed.includes(name) && domains.some((domain) => name === domain || name.endsWith("." + domain));
}

function leadLookup(original) {
  return function lookup(host, options, callback) {
    if (!isLed(host)) return Reflect.apply(original, this, arguments);
    const done = typeof options === "function" ? options : callback;
    const all = typeof options === "object" && options !== null && options.all;
    process.nextTick(() => (all ? done(null, [{ address, family: 4 }]) : done(null, address, 4)));
  };
}

function leadPromisedLookup(original) {
  return async function lookup(host, options) {
    if (!isLed(host)) return Reflect.apply(original, this, arguments);
    const found = { address, family: 4 };
    return options?.all ? [found] : found;
  };
}

function leadResolve4(original) {
  return function resolve4(host, ...rest) {
    const callback = rest.at(-1);
    if (!isLed(host) || typeof callback !== "function") return Reflect.apply(original, this, arguments);
    const found = rest[0]?.ttl ? { address, ttl: 60 } : address;
    process.nextTick(() => callback(null, [found]));
  };
}

function leadPromisedResolve4(original) {
  return async function resolve4(host, options) {
    if (!isLed(host)) return Reflect.apply(original, this, arguments);
    return [options?.ttl ? { address, ttl: 60 } : address];
  };
}

// The arguments of `connect` as Node itself reads them: options, or a port and a host.
function leadConnect(original) {
  return function connect(...given) {
    const inner = Array.isArray(given[0]) ? given[0] : given; // Node hands on what it has read already
    const options = typeof inner[0] === "object" && inner[0] !== null ? inner[0] : { port: inner[0], host: inner[1] };
    if (options.path || !(options.host === address || isLed(options.host))) {
      return Reflect.apply(original, this, given);
    }
    const led = { ...options, host: forwarderHost, port: Number(forwarderPort), lookup: undefined };
    const callback = inner.findLast((each) => typeof each === "function");
    return Reflect.apply(original, this, callback ? [led, callback] : [led]);
  };
}

function leadTls(original) {
  return function connect(...given) {
    const options = Object.assign({}, ...given.filter((each) => typeof each === "object" && each !== null));
    const [port, host] = given;
    if (typeof port === "number" || (typeof port === "string" && port)) options.port = port;
    if (typeof host === "string") options.host = host;
    const name = options.servername || options.host;
    if (!isLed(name) && !isLed(options.host)) return Reflect.apply(original, this, given);
    const callback = given.findLast((each) => typeof each === "function");
    const led = { ...options, servername: isLed(name) ? name : options.host, secureContext: trust, session: undefined };
    led.rejectUnauthorized = true;
    led.checkServerIdentity = tls.checkServerIdentity;
    return original.call(this, led, callback);
  };
}

dns.lookup = leadLookup(dns.lookup);
dns.promises.lookup = leadPromisedLookup(dns.promises.lookup);
for (const holder of [dns, dns.Resolver.prototype]) holder.resolve4 = leadResolve4(holder.resolve4);
for (const holder of [dns.promises, dns.promises.Resolver.prototype]) {
  holder.resolve4 = leadPromisedResolve4(holder.resolve4);
}
net.Socket.prototype.connect = leadConnect(net.Socket.prototype.connect);
tls.connect = leadTls(tls.connect);

// Not before: what does not load this file is left without the token.
for (const name of process.env.SANDBOX_RUN_TOKEN_VARIABLES.split(",")) {
  process.env[name] = process.env.SANDBOX_BOT_TOKEN;
}
