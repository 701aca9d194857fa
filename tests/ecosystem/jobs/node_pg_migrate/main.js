// node-pg-migrate: its command line on a folder of migrations, up and down.
const { execFileSync } = require("node:child_process");

function migrate(direction) {
  const wanted = [direction, "--schema", process.env.SANDBOX_SCHEMA];
  const said = execFileSync("node-pg-migrate", wanted, { encoding: "utf8" });
  if (!said.includes("### MIGRATION 1700000000000_seasons")) throw new Error(said);
  return direction;
}

console.log(`migrated ${migrate("up")} and ${migrate("down")}`);
