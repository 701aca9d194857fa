// Drizzle: drizzle-kit writes the migration, drizzle-orm runs it, its journal in a schema of its own.
const { execFileSync } = require("node:child_process");
const { eq } = require("drizzle-orm");
const { drizzle } = require("drizzle-orm/node-postgres");
const { migrate } = require("drizzle-orm/node-postgres/migrator");
const { Pool } = require("pg");
const { seasons } = require("./tables");

const { DATABASE_URL, SANDBOX_SCHEMA } = process.env;

async function main() {
  execFileSync("drizzle-kit", ["generate"], { stdio: "pipe" });
  const pool = new Pool({ connectionString: DATABASE_URL });
  const db = drizzle(pool);
  const wanted = { migrationsFolder: "migrations", migrationsSchema: `${SANDBOX_SCHEMA}_drizzle` };
  await migrate(db, wanted);
  await migrate(db, wanted); // which finds nothing to do
  await db.insert(seasons).values({ title: "First" });
  const [found] = await db.select().from(seasons).where(eq(seasons.title, "First"));
  await pool.end();
  console.log(`migrated by generated files, read ${found.title}`);
}

main();
