// BullMQ: jobs queued, one of them for later, done by a worker, and their ends heard.
const { Queue, QueueEvents, Worker } = require("bullmq");

async function main() {
  const connection = { url: process.env.REDIS_URL };
  const queue = new Queue("welcome", { connection });
  const events = new QueueEvents("welcome", { connection });
  const worker = new Worker("welcome", async (job) => `hello ${job.data.name}`, { connection });
  await events.waitUntilReady();
  const jobs = await queue.addBulk([
    { name: "now", data: { name: "Ada" } },
    { name: "later", data: { name: "Bob" }, opts: { delay: 200 } },
  ]);
  const said = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
  await worker.close();
  await queue.obliterate();
  await Promise.all([events.close(), queue.close()]);
  console.log(`jobs are done: ${said.join(", ")}`);
}

main();
