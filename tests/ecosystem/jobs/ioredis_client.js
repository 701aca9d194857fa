// ioredis: a lock that a script releases, keys scanned, a transaction, and a message heard.
const { randomUUID } = require("node:crypto");
const Redis = require("ioredis");

const { REDIS_URL, SANDBOX_REDIS_PREFIX: prefix } = process.env;
const RELEASE = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0';

async function lock(redis) {
  const [key, token] = ["daily:lock", randomUUID()];
  const locked = [await redis.set(key, token, "PX", 5000, "NX"), await redis.set(key, "other", "PX", 5000, "NX")];
  const released = [await redis.release(key, "other"), await redis.release(key, token)];
  return locked.map(Boolean).concat(released.map(Boolean)).join();
}

async function scan(redis) {
  const batch = redis.pipeline();
  for (let number = 0; number < 50; number++) batch.set(`user:${number}`, number, "EX", 60);
  await batch.exec();
  const keys = new Set();
  for await (const some of redis.scanStream({ match: "user:*", count: 10 })) some.forEach((key) => keys.add(key));
  return keys.size;
}

async function hear(redis) {
  const listener = redis.duplicate();
  const heard = new Promise((resolve) => listener.on("message", (channel, message) => resolve(message)));
  await listener.subscribe(`${prefix}news`);
  await redis.publish(`${prefix}news`, "hello");
  return heard.finally(() => listener.disconnect());
}

async function main() {
  const scripts = { release: { numberOfKeys: 1, lua: RELEASE } };
  const redis = new Redis(REDIS_URL, { connectionName: "my-bot", scripts });
  const [, [, total]] = await redis.multi().set("total", 1).incrby("total", 41).exec();
  console.log(`lock ${await lock(redis)}; scanned ${await scan(redis)}; counted ${total}; heard ${await hear(redis)}`);
  redis.disconnect();
}

main();
