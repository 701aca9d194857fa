const { PrismaPg } = require("@prisma/adapter-pg");

const { DATABASE_URL, SANDBOX_SCHEMA } = process.env;

exports.adapter = () => new PrismaPg({ connectionString: DATABASE_URL }, { schema: SANDBOX_SCHEMA });
