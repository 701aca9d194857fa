// nats.js 2: a key-value store, which is a stream of one's own.
const { connect, StringCodec } = require("nats");

const { NATS_URL, NATS_USER: user, NATS_PASSWORD: pass, SANDBOX_ID } = process.env;

async function main() {
  const inboxPrefix = `_INBOX_${SANDBOX_ID.replaceAll("-", "")}`;
  const connection = await connect({ servers: NATS_URL.split(","), user, pass, inboxPrefix });
  const profiles = await connection.jetstream().views.kv("profiles");
  await profiles.put("ada", StringCodec().encode("admiral"));
  console.log(`stored: ${(await profiles.get("ada")).string()}`);
  await connection.drain();
}

main();
