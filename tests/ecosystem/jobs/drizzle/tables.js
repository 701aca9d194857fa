const { bigint, pgTable, serial, text } = require("drizzle-orm/pg-core");

exports.seasons = pgTable("seasons", {
  id: serial().primaryKey(),
  title: text().notNull(),
  communityId: bigint("community_id", { mode: "number" }),
});
