// nats.js 2: events received and acknowledged by the sandbox's consumer, and a request to another worker.
const { connect, StringCodec } = require("nats");

const { NATS_URL, SANDBOX_ID, SANDBOX_NATS_PREFIX, SANDBOX_NATS_STREAM } = process.env;
const { NATS_USER: user, NATS_PASSWORD: pass } = process.env;

async function main() {
  const inboxPrefix = `_INBOX_${SANDBOX_ID.replaceAll("-", "")}`;
  const connection = await connect({ servers: NATS_URL.split(","), user, pass, inboxPrefix });
  const text = StringCodec();

  const consumer = await connection.jetstream().consumers.get(SANDBOX_NATS_STREAM, "worker");
  let event;
  do {
    event = await consumer.next({ expires: 10_000 });
    if (!(await event.ackAck())) throw new Error("an event is not acknowledged");
  } while (event.info.pending);

  const subject = `${SANDBOX_NATS_PREFIX}work.greet`;
  const callback = (error, message) => message.respond(text.encode(`hello ${text.decode(message.data)}`));
  connection.subscribe(subject, { callback });
  const answer = await connection.request(subject, text.encode("Ada"), { timeout: 3000 });
  console.log(`events are acknowledged, answered: ${text.decode(answer.data)}`);
  await connection.drain();
}

main();
