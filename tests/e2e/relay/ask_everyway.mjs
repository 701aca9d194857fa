// Asks Discord for its gateway by each way that Node has, and says what it was told.
import dns from "node:dns";
import { get } from "node:https";
import { connect } from "node:tls";

const url = "https://discord.com/api/v10/gateway";

const byHttps = (options) =>
  new Promise((resolve, reject) => {
    get(url, options, async (response) => {
      let body = "";
      for await (const piece of response) body += piece;
      resolve(JSON.parse(body).url);
    }).on("error", reject);
  });

const bySockets = (...target) =>
  new Promise((resolve, reject) => {
    const socket = connect(...target, () => {
      socket.write("GET /api/v10/gateway HTTP/1.1\r\nHost: discord.com\r\nConnection: close\r\n\r\n");
    }).on("error", reject);
    let body = "";
    socket.on("data", (piece) => (body += piece)).on("end", () => resolve(JSON.parse(body.split("\r\n\r\n")[1]).url));
  });

const [address] = await dns.promises.resolve4("discord.com");
console.log(
  JSON.stringify({
    fetch: (await (await fetch(url)).json()).url,
    https: await byHttps({}),
    "https with a resolver of its own": await byHttps({ lookup: dns.lookup }),
    "https that verifies nothing": await byHttps({ rejectUnauthorized: false }),
    "tls by port and host": await bySockets(443, "discord.com"),
    "tls by address": await bySockets({ host: address, port: 443, servername: "discord.com" }),
  }),
);
