// Graphile Worker: a job that SQL has added, done as soon as it is announced, its tables in a schema of the sandbox's.
const { once } = require("node:events");
const { Logger, run } = require("graphile-worker");
const { Client } = require("pg");

const { DATABASE_URL: connectionString, SANDBOX_SCHEMA } = process.env;

async function main() {
  const schema = `${SANDBOX_SCHEMA}_worker`;
  const greeted = [];
  const taskList = { welcome: async ({ name }) => greeted.push(name) };
  const runner = await run({ connectionString, schema, taskList, logger: new Logger(() => () => {}) });
  const done = once(runner.events, "job:success");
  const client = new Client({ connectionString });
  await client.connect();
  await client.query(`SELECT "${schema}".add_job('welcome', json_build_object('name', 'Ada'))`);
  await done;
  await runner.stop();
  await client.end();
  console.log(`a job is done: ${greeted}`);
}

main();
