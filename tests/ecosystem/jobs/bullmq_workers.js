// BullMQ: who works on a queue, as its dashboards show it.
const { Queue, Worker } = require("bullmq");

async function main() {
  const connection = { url: process.env.REDIS_URL };
  const queue = new Queue("welcome", { connection });
  const worker = new Worker("welcome", async () => {}, { connection, name: "porter" });
  await worker.waitUntilReady();
  const workers = await queue.getWorkers();
  await Promise.all([worker.close(), queue.close()]);
  console.log(`at work: ${workers.map((each) => each.name)}`);
}

main();
