module.exports = { ...require("./drizzle.config"), out: "./pulled" };
