// Knex: a migration that adds to the template's tables, up and down, with a query in between.
class Migrations {
  async getMigrations() {
    return ["001_seasons"];
  }

  getMigrationName(name) {
    return name;
  }

  async getMigration() {
    return {
      up: async (knex) => {
        await knex.schema.createTable("seasons", (table) => {
          table.increments();
          table.string("title").notNullable();
          table.bigInteger("community_id").references("communities.id").onDelete("CASCADE");
        });
        await knex.schema.alterTable("communities", (table) => table.string("theme").defaultTo("dark").index());
      },
      down: async (knex) => {
        await knex.schema.alterTable("communities", (table) => table.dropColumn("theme"));
        await knex.schema.dropTable("seasons");
      },
    };
  }
}

async function main() {
  const knex = require("knex")({
    client: "pg",
    connection: process.env.DATABASE_URL,
    migrations: { migrationSource: new Migrations() },
  });
  try {
    await knex.migrate.latest();
    const [{ id }] = await knex("communities").insert({ guild_id: 1, name: "Ada's" }).returning("id");
    await knex("seasons").insert({ title: "First", community_id: id });
    const found = await knex("seasons").join("communities", "communities.id", "community_id").first("title", "theme");
    await knex.migrate.rollback();
    const left = await knex.schema.hasTable("seasons");
    console.log(`migrated up, read ${found.title}/${found.theme}, down: ${left ? "seasons is left" : "nothing left"}`);
  } finally {
    await knex.destroy();
  }
}

main();
