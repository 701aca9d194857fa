// Sequelize: an ENUM and a foreign key to the template's table, made and removed by its query interface.
const { DataTypes, Sequelize } = require("sequelize");

const { DATABASE_URL, SANDBOX_SCHEMA } = process.env;

async function main() {
  const sequelize = new Sequelize(DATABASE_URL, {
    logging: false,
    define: { schema: SANDBOX_SCHEMA, timestamps: false, underscored: true },
  });
  const id = { type: DataTypes.BIGINT, primaryKey: true, autoIncrementIdentity: true, autoIncrement: true };
  const Community = sequelize.define("community", { id, guildId: DataTypes.DECIMAL, name: DataTypes.TEXT });
  const Season = sequelize.define("season", {
    title: DataTypes.STRING,
    mood: { type: DataTypes.ENUM("glad", "sad"), defaultValue: "glad" },
  });
  Season.belongsTo(Community);
  const [communities, tables] = [{ tableName: "communities", schema: SANDBOX_SCHEMA }, sequelize.getQueryInterface()];
  try {
    await tables.addColumn(communities, "theme", { type: DataTypes.STRING, defaultValue: "dark" });
    await Season.sync();
    const community = await Community.create({ guildId: 4, name: "Ada's" });
    await Season.create({ title: "First", communityId: community.id });
    const found = await Season.findOne({ include: Community });
    await Season.sync({ alter: true });
    await Season.drop();
    await tables.removeColumn(communities, "theme");
    console.log(`made, read ${found.title} (${found.mood}) of ${found.community.name}, removed`);
  } finally {
    await sequelize.close();
  }
}

main();
