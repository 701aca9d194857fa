// pg-boss: a job sent, worked on and completed, its tables in a schema of the sandbox's.
const PgBoss = require("pg-boss");

const { DATABASE_URL, SANDBOX_SCHEMA } = process.env;
const [schema = `${SANDBOX_SCHEMA}_pgboss`] = process.argv.slice(2);

async function main() {
  const boss = new PgBoss({ connectionString: DATABASE_URL, schema });
  boss.on("error", console.error);
  await boss.start();
  await boss.createQueue("welcome");
  const id = await boss.send("welcome", { name: "Ada" });
  await boss.work("welcome", { pollingIntervalSeconds: 0.5 }, async ([job]) => `hello ${job.data.name}`);
  let job;
  do job = await boss.getJobById("welcome", id);
  while (job.state !== "completed");
  await boss.stop({ graceful: false });
  console.log(`a job is ${job.state}: ${job.output.value}`);
}

main();
