// node-redis: a hash, a script, a scan, a stream with a consumer group, and a message heard.
const { createClient, defineScript } = require("redis");

const { REDIS_URL, SANDBOX_REDIS_PREFIX: prefix } = process.env;
const capped = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: 'return math.min(redis.call("INCRBY", KEYS[1], ARGV[1]), tonumber(ARGV[2]))',
  parseCommand: (parser, key, by, most) => {
    parser.pushKey(key);
    parser.push(String(by), String(most));
  },
  transformReply: undefined,
});

async function scan(client) {
  await client.hSet("profile:1", { name: "Ada", level: "3" });
  const keys = [];
  for await (const some of client.scanIterator({ MATCH: "profile:*" })) keys.push(...some);
  return keys.length;
}

async function work(client) {
  await client.xGroupCreate("jobs", "bots", "$", { MKSTREAM: true });
  await client.xAdd("jobs", "*", { kind: "welcome" });
  const [{ messages }] = await client.xReadGroup("bots", "one", { key: "jobs", id: ">" }, { COUNT: 1 });
  const acknowledged = await client.xAck("jobs", "bots", messages[0].id);
  return `${acknowledged} ${messages[0].message.kind}`;
}

async function hear(client) {
  const listener = await client.duplicate().connect();
  let tell;
  const heard = new Promise((resolve) => (tell = resolve));
  await listener.subscribe(`${prefix}news`, tell);
  await client.publish(`${prefix}news`, "hello");
  return heard.finally(() => listener.close());
}

async function main() {
  const client = createClient({ url: REDIS_URL, name: "my-bot", scripts: { capped } });
  client.on("error", console.error);
  await client.connect();
  const level = await client.capped("level", 7, 5);
  const [scanned, worked, heard] = [await scan(client), await work(client), await hear(client)];
  console.log(`scanned ${scanned}, level ${level}, acknowledged ${worked}, heard ${heard}`);
  await client.close();
}

main();
