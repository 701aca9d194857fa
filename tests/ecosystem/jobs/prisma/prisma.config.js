const { defineConfig } = require("prisma/config");
const { adapter } = require("./adapter");

module.exports = defineConfig({
  experimental: { adapter: true },
  engine: "js",
  adapter: async () => adapter(),
  schema: "schema.prisma",
  migrations: { path: "migrations" },
});
