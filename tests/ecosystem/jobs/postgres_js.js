// Postgres.js: a transaction, helpers for many rows, and a notification heard.
const postgres = require("postgres");

const { DATABASE_URL, SANDBOX_SCHEMA } = process.env;

async function main() {
  const sql = postgres(DATABASE_URL, { max: 3 });
  const channel = `${SANDBOX_SCHEMA}_changed`;
  let hear;
  const heard = new Promise((resolve) => (hear = resolve));
  await sql.listen(channel, hear);
  await sql.begin(async (sql) => {
    await sql`CREATE TABLE seasons (id serial PRIMARY KEY, title text, community_id bigint REFERENCES communities)`;
    await sql`INSERT INTO seasons ${sql([{ title: "First" }, { title: "Second" }])}`;
    await sql.notify(channel, "seasons");
  });
  const titles = await sql`SELECT title FROM seasons ORDER BY id`;
  console.log(`read ${titles.map((row) => row.title)}, heard of ${await heard}`);
  await sql.end();
}

main();
