// node-postgres: a pool, a transaction, and a bulk upsert by way of a temporary table.
const { Pool } = require("pg");

async function main() {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 3 });
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("CREATE TEMP TABLE staging (LIKE communities INCLUDING DEFAULTS) ON COMMIT DROP");
    await client.query("ALTER TABLE staging ALTER COLUMN id DROP NOT NULL");
    await client.query(
      "INSERT INTO staging (guild_id, name) SELECT number, 'Guild ' || number FROM unnest($1::int[]) AS number",
      [[11, 12, 13]],
    );
    const { rowCount } = await client.query(
      "INSERT INTO communities (guild_id, name) SELECT guild_id, name FROM staging " +
        "ON CONFLICT (guild_id) DO UPDATE SET name = excluded.name",
    );
    await client.query("COMMIT");
    const prepared = { name: "by-guild", text: "SELECT name FROM communities WHERE guild_id = $1", values: [13] };
    const { rows } = await pool.query(prepared);
    console.log(`upserted ${rowCount} rows from a temporary table, read ${rows[0].name}`);
  } finally {
    client.release();
    await pool.end();
  }
}

main();
