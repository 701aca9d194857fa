exports.up = (pgm) => {
  pgm.createTable("seasons", {
    id: "id",
    title: { type: "text", notNull: true },
    community_id: { type: "bigint", references: "communities", onDelete: "CASCADE" },
  });
  pgm.addColumns("communities", { theme: { type: "text", default: "dark" } });
  pgm.createIndex("communities", "theme");
};

exports.down = (pgm) => {
  pgm.dropColumns("communities", ["theme"]);
  pgm.dropTable("seasons");
};
