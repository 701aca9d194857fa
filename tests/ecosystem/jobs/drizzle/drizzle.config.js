module.exports = { dialect: "postgresql", schema: "./tables.js", out: "./migrations" };
