// @nats-io 3: an event consumed and acknowledged by the sandbox's consumer, and a request to another worker.
const { jetstream } = require("@nats-io/jetstream");
const { connect } = require("@nats-io/transport-node");

const { NATS_URL, SANDBOX_ID, SANDBOX_NATS_PREFIX, SANDBOX_NATS_STREAM } = process.env;
const { SANDBOX_NATS_USER: user, SANDBOX_NATS_PASSWORD: pass } = process.env;

async function main() {
  const inboxPrefix = `_INBOX_${SANDBOX_ID.replaceAll("-", "")}`;
  const connection = await connect({ servers: NATS_URL.split(","), user, pass, inboxPrefix });

  const consumer = await jetstream(connection).consumers.get(SANDBOX_NATS_STREAM, "worker");
  const { config, num_pending: waiting } = await consumer.info();
  if (config.durable_name !== "worker" || !waiting) throw new Error("no event waits for the worker");
  const events = await consumer.consume({ max_messages: 1 });
  for await (const event of events) {
    if (!(await event.ackAck())) throw new Error("the event is not acknowledged");
    break;
  }

  const subject = `${SANDBOX_NATS_PREFIX}work.greet`;
  connection.subscribe(subject, { callback: (error, message) => message.respond(`hello ${message.string()}`) });
  const answer = await connection.request(subject, "Ada", { timeout: 3000 });
  console.log(`an event acknowledged, answered: ${answer.string()}`);
  await connection.drain();
}

main();
