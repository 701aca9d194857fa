const { DATABASE_URL: url, SANDBOX_SCHEMA } = process.env;

module.exports = {
  dialect: "postgresql",
  dbCredentials: { url },
  schema: "./tables.js",
  schemaFilter: [SANDBOX_SCHEMA],
  out: "./migrations",
  migrations: { schema: `${SANDBOX_SCHEMA}_drizzle` },
};
