"""FastStream: an event of Discord's is received and acknowledged, and a request answered by another subscriber."""

import asyncio
import os

from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub

sandbox = os.environ["SANDBOX_ID"].replace("-", "")
work = os.environ["SANDBOX_NATS_PREFIX"] + "work."
events = os.environ["SANDBOX_NATS_PREFIX"] + "events.>"
inbox = f"_INBOX_{sandbox}"
stream = JStream(os.environ["SANDBOX_NATS_STREAM"], declare=False)
broker = NatsBroker(os.environ["NATS_URL"], inbox_prefix=inbox)
app = FastStream(broker)
contents = asyncio.Queue()


@broker.subscriber(
    events, stream=stream, durable="worker", pull_sub=PullSub(timeout=1.0), inbox_prefix=f"{inbox}.".encode()
)
async def on_event(event: dict):
    if event.get("t") == "MESSAGE_CREATE":
        contents.put_nowait(event["d"]["content"])


@broker.subscriber(work + "double")
async def double(number: int) -> int:
    return number * 2


@app.after_startup
async def check():
    async with asyncio.timeout(20):
        assert await contents.get() == "hello"
    answer = await broker.request(21, work + "double", timeout=5)
    assert await answer.decode() == 42
    app.exit()


asyncio.run(app.run())
print("an event is received and acknowledged, a request answered")
