// Drizzle: drizzle-kit reads the tables that are there, writes a migration and runs it, its journal in a schema of its
// own; drizzle-orm finds it done, and uses the table.
const { execFileSync } = require("node:child_process");
const { eq } = require("drizzle-orm");
const { drizzle } = require("drizzle-orm/node-postgres");
const { migrate } = require("drizzle-orm/node-postgres/migrator");
const { Pool } = require("pg");
const { migrations, out } = require("./drizzle.config");
const { seasons } = require("./tables");

const kit = (...command) => execFileSync("drizzle-kit", command, { encoding: "utf8" });

async function main() {
  const [, count] = kit("pull", "--config", "pull.config.js").match(/(\d+) +tables fetched/);
  kit("generate");
  kit("migrate");
  const pool = new Pool({ connectionString: process.env.DATABASE_URL });
  const db = drizzle(pool);
  await migrate(db, { migrationsFolder: out, migrationsSchema: migrations.schema });
  await db.insert(seasons).values({ title: "First" });
  const [found] = await db.select().from(seasons).where(eq(seasons.title, "First"));
  await pool.end();
  console.log(`found ${count} tables, migrated, read ${found.title}`);
}

main();
