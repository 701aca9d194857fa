// node --env-file and dotenv: what each finds in `.env` is what was written there.
const assert = require("node:assert");
const { execFileSync } = require("node:child_process");

const readers = {
  node: () => {
    const program = "process.stdout.write(JSON.stringify(process.env))";
    return JSON.parse(execFileSync(process.execPath, ["--env-file=.env", "-e", program], { env: {} }));
  },
  dotenv: () => {
    const found = {};
    const { error } = require("dotenv").config({ processEnv: found, quiet: true });
    assert.ifError(error);
    return found;
  },
};

const handedOut = (environment) =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => /^(SANDBOX_|PG|NATS_)|_URL$/.test(name)).sort());

const expected = handedOut(process.env);
assert.ok(expected.DATABASE_URL && "SANDBOX_GUILD_IDS" in expected);
assert.deepStrictEqual(handedOut(readers[process.argv[2]]()), expected);
console.log("every value is read as it was written");
