// @nats-io 3: events of the sandbox's stream consumed and acknowledged, and a request to another worker.
const { jetstream } = require("@nats-io/jetstream");
const { connect } = require("@nats-io/transport-node");

const { NATS_URL, SANDBOX_ID, SANDBOX_NATS_PREFIX, SANDBOX_NATS_STREAM } = process.env;
const { NATS_USER: user, NATS_PASSWORD: pass } = process.env;

async function main() {
  const inboxPrefix = `_INBOX_${SANDBOX_ID.replaceAll("-", "")}`;
  const connection = await connect({ servers: NATS_URL.split(","), user, pass, inboxPrefix });

  const stream = await jetstream(connection).streams.get(SANDBOX_NATS_STREAM);
  const consumer = await stream.getConsumer("worker");
  for await (const event of await consumer.consume()) {
    if (!(await event.ackAck())) throw new Error("an event is not acknowledged");
    if (!event.info.pending) break;
  }

  const subject = `${SANDBOX_NATS_PREFIX}work.greet`;
  connection.subscribe(subject, { callback: (error, message) => message.respond(`hello ${message.string()}`) });
  const answer = await connection.request(subject, "Ada", { timeout: 3000 });
  console.log(`events are acknowledged, answered: ${answer.string()}`);
  await connection.drain();
}

main();
