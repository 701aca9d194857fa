// TypeORM: entities of the template's table and of one's own that refers to it, migrated up and down.
require("reflect-metadata");
const { DataSource, EntitySchema, Table } = require("typeorm");

const Community = new EntitySchema({
  name: "Community",
  tableName: "communities",
  columns: {
    id: { type: "bigint", primary: true, generated: "identity" },
    guild: { name: "guild_id", type: "numeric" },
    name: { type: "text" },
    theme: { type: "text", nullable: true },
  },
});

const Season = new EntitySchema({
  name: "Season",
  tableName: "seasons",
  columns: { id: { type: "uuid", primary: true, generated: "uuid" }, title: { type: "varchar" } },
  relations: { community: { type: "many-to-one", target: "Community", joinColumn: { name: "community_id" } } },
});

class Seasons1700000000000 {
  async up(runner) {
    await runner.query("ALTER TABLE communities ADD COLUMN theme text DEFAULT 'dark'");
    const id = { name: "id", type: "uuid", isPrimary: true, isGenerated: true, generationStrategy: "uuid" };
    const columns = [id, { name: "title", type: "varchar" }, { name: "community_id", type: "bigint" }];
    const key = { columnNames: ["community_id"], referencedTableName: "communities", referencedColumnNames: ["id"] };
    await runner.createTable(new Table({ name: "seasons", columns, foreignKeys: [key] }));
  }

  async down(runner) {
    await runner.dropTable("seasons");
    await runner.query("ALTER TABLE communities DROP COLUMN theme");
  }
}

async function main() {
  const source = new DataSource({
    type: "postgres",
    url: process.env.DATABASE_URL,
    uuidExtension: "pgcrypto", // that is gen_random_uuid(), which PostgreSQL has by itself
    installExtensions: false,
    entities: [Community, Season],
    migrations: [Seasons1700000000000],
  });
  await source.initialize();
  try {
    await source.runMigrations();
    const community = await source.getRepository("Community").save({ guild: "2", name: "Ada's" });
    await source.getRepository("Season").save({ title: "First", community });
    const found = await source.getRepository("Season").findOneOrFail({ where: {}, relations: { community: true } });
    await source.undoLastMigration();
    console.log(`migrated up, read ${found.title} of ${found.community.name}, down`);
  } finally {
    await source.destroy();
  }
}

main();
