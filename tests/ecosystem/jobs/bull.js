// Bull 4: jobs queued, one of them for later, done, and their ends heard, keys and channels under the sandbox's prefix.
const Queue = require("bull");

const { REDIS_URL, SANDBOX_REDIS_PREFIX } = process.env;
const [prefix = `${SANDBOX_REDIS_PREFIX}bull`] = process.argv.slice(2);

async function main() {
  const queue = new Queue("welcome", REDIS_URL, { prefix });
  queue.process(async (job) => `hello ${job.data.name}`);
  const jobs = [await queue.add({ name: "Ada" }), await queue.add({ name: "Bob" }, { delay: 200 })];
  const said = await Promise.all(jobs.map((job) => job.finished()));
  await queue.obliterate();
  await queue.close();
  console.log(`jobs are done: ${said.join(", ")}`);
}

main();
