// Prisma: the tables that are there taken as its baseline, a migration deployed, and its client on both.
const { execFileSync } = require("node:child_process");
const { adapter } = require("./adapter");

function prisma(...command) {
  return execFileSync("prisma", command, { encoding: "utf8" });
}

async function main() {
  prisma("generate");
  // Prisma ends ten seconds after each of these two is done, by a timer of its own.
  prisma("migrate", "resolve", "--applied", "0_template");
  prisma("migrate", "deploy");
  const { PrismaClient } = require("./client");
  const client = new PrismaClient({ adapter: adapter() });
  const community = { create: { guild: 5, name: "Ada's" } };
  await client.season.create({ data: { title: "First", community } });
  const found = await client.season.findFirst({ include: { community: true } });
  await client.$disconnect();
  console.log(`deployed, read ${found.title} of ${found.community.name}`);
}

main();
