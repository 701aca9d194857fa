"""nats-py: an event of Discord's is received and acknowledged, and a request answered."""

import asyncio
import json
import os

import nats

sandbox = os.environ["SANDBOX_ID"].replace("-", "")
work = os.environ["SANDBOX_NATS_PREFIX"] + "work."
events = os.environ["SANDBOX_NATS_PREFIX"] + "events.>"


async def main():
    client = await nats.connect(os.environ["NATS_URL"], inbox_prefix=f"_INBOX_{sandbox}".encode(), name="lab-bot")
    stream = os.environ["SANDBOX_NATS_STREAM"]
    subscription = await client.jetstream().pull_subscribe(events, durable="worker", stream=stream)
    contents = []
    while "hello" not in contents:
        for message in await subscription.fetch(10, timeout=10):
            await message.ack_sync()
            contents.append(json.loads(message.data)["d"].get("content"))
    info = await subscription.consumer_info()
    assert info.num_ack_pending == 0, info

    async def double(message):
        await message.respond(str(int(message.data) * 2).encode())

    await client.subscribe(work + "double", cb=double)
    answer = await client.request(work + "double", b"21", timeout=5)
    assert answer.data == b"42"
    await client.drain()


asyncio.run(main())
print("an event is received and acknowledged, a request answered")
