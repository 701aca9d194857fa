// Kysely: its migrator up and down, and a query over a table of the template and one of its own.
const { Kysely, Migrator, PostgresDialect, sql } = require("kysely");
const { Pool } = require("pg");

const seasons = {
  up: async (db) => {
    await db.schema
      .createTable("seasons")
      .addColumn("id", "serial", (column) => column.primaryKey())
      .addColumn("title", "varchar", (column) => column.notNull())
      .addColumn("community_id", "bigint", (column) => column.references("communities.id").onDelete("cascade"))
      .execute();
    const communities = db.schema.alterTable("communities");
    await communities.addColumn("theme", "varchar", (column) => column.defaultTo("dark")).execute();
    await db.schema.createIndex("communities_theme").on("communities").column("theme").execute();
  },
  down: async (db) => {
    await db.schema.alterTable("communities").dropColumn("theme").execute();
    await db.schema.dropTable("seasons").execute();
  },
};

function done({ error, results }) {
  if (error) throw error;
  return results.map((result) => `${result.direction} ${result.status}`).join();
}

async function main() {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL });
  const db = new Kysely({ dialect: new PostgresDialect({ pool }) });
  const provider = { getMigrations: async () => ({ "001_seasons": seasons }) };
  const migrator = new Migrator({ db, provider });
  try {
    const up = done(await migrator.migrateToLatest());
    const id = sql`(SELECT max(id) FROM communities)`;
    await db.insertInto("communities").values({ guild_id: 3, name: "Ada's" }).execute();
    await db.insertInto("seasons").values({ title: "First", community_id: id }).execute();
    const found = await db
      .selectFrom("seasons")
      .innerJoin("communities", "communities.id", "seasons.community_id")
      .select(["title", "theme"])
      .executeTakeFirstOrThrow();
    console.log(`${up}, read ${found.title}/${found.theme}, ${done(await migrator.migrateDown())}`);
  } finally {
    await db.destroy();
  }
}

main();
