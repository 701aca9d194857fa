// Redlock: a lock that nobody else gets, extended and given back.
const Redis = require("ioredis");
const Redlock = require("redlock");

async function main() {
  const redis = new Redis(process.env.REDIS_URL);
  const redlock = new Redlock([redis], { retryCount: 0 });
  const lock = await redlock.lock("daily", 5000);
  const second = await redlock.lock("daily", 5000).then(() => "it too", (error) => error.name);
  await lock.extend(5000);
  await lock.unlock();
  await (await redlock.lock("daily", 5000)).unlock();
  console.log(`locked, another had ${second}; extended, unlocked and locked again`);
  redis.disconnect();
}

main();
