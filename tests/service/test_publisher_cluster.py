"""A stream loses its leader under load: nothing of it is lost, doubled or inverted, and other streams go on."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from bot import constants
from bot.routing.publisher import Publisher
from bot.stores.nats_client import FAILURES, ask_jetstream, open_nats
from tests.cluster.nats_servers import NatsCluster
from tests.service.servers import until

RATE = 500
"""Events a second and stream."""


@pytest.fixture
async def cluster(tmp_path):
    async with NatsCluster(tmp_path / "nats") as cluster:
        yield cluster


@dataclass
class Scene:
    cluster: NatsCluster
    client: Client
    near: str
    """The server that the publisher is connected to: it stays."""
    publisher: Publisher
    sent: dict[str, int] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)

    async def make(self, stream, *, near):
        """With three replicas, led by the near server or by another one."""
        config = StreamConfig(name=stream, subjects=[f"{stream}.events.>"], num_replicas=3, duplicate_window=600)
        await self.client.jetstream().add_stream(config)
        async with asyncio.timeout(60):
            while (await self.leader(stream) == self.near) is not near:
                await ask_jetstream(self.client, f"STREAM.LEADER.STEPDOWN.{stream}")

    async def leader(self, stream):
        async with asyncio.timeout(30):
            while True:
                with suppress(*FAILURES):
                    told = await self.client.jetstream(timeout=1).stream_info(stream)
                    if told.cluster.leader:
                        return told.cluster.leader
                await asyncio.sleep(0.05)

    def pour(self, stream):
        """Until it is cancelled, as Discord would."""
        return asyncio.create_task(self._pour(stream))

    async def _pour(self, stream):
        began_at, first = time.monotonic(), self.sent.setdefault(stream, 0)
        while True:
            while self.sent[stream] - first < (time.monotonic() - began_at) * RATE:
                started_at = time.monotonic()
                await self.publisher.wait_for_capacity()
                self._note(stream, time.monotonic() - started_at)
                self._publish(stream)
            await asyncio.sleep(0.005)

    def _note(self, stream, seconds):
        self.slowest[stream] = max(self.slowest.get(stream, 0.0), seconds)

    def _publish(self, stream):
        number = self.sent[stream]
        self.publisher.publish(f"{stream}.events.TEST", b"%d" % number, f"{stream}:{number}")
        self.sent[stream] += 1

    async def stored(self, stream):
        """The numbers in its order, and what came of markers."""
        jetstream = self.client.jetstream()
        count = (await jetstream.stream_info(stream)).state.messages
        subscription = await jetstream.subscribe(f"{stream}.events.>", ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=20) for _ in range(count)]
        await subscription.unsubscribe()
        return [
            json.loads(message.data)["d"] if message.subject.endswith("GATEWAY_GAP") else int(message.data)
            for message in messages
        ]

    async def arrived(self, stream):
        return await self.stored(stream) == list(range(self.sent[stream]))


@asynccontextmanager
async def opened(cluster, near="nats-1", **options):
    client = await open_nats(cluster.url(servers=[near]))
    publisher = Publisher(client, **{"window": 4096, "ack_timeout": timedelta(seconds=2), **options})
    await publisher.start()
    try:
        yield Scene(cluster, client, near, publisher)
    finally:
        await publisher.close()
        await client.close()


async def make_single(cluster, stream):
    """Without replicas; the server that has it."""
    async with opened(cluster) as scene:
        await scene.client.jetstream().add_stream(StreamConfig(name=stream, subjects=[f"{stream}.events.>"]))
        return await scene.leader(stream)


@asynccontextmanager
async def poured(scene, *streams):
    tasks = [scene.pour(stream) for stream in streams]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.long
async def test_a_leader_that_steps_down_costs_nothing(cluster):
    async with opened(cluster) as scene:
        await scene.make("moved", near=False)
        async with poured(scene, "moved"):
            for _ in range(5):
                await asyncio.sleep(0.3)
                await ask_jetstream(scene.client, "STREAM.LEADER.STEPDOWN.moved")
                await scene.leader("moved")
        assert await scene.publisher.drain(20) == 0
        stored = await scene.stored("moved")
        assert (len(stored), len(set(stored)), scene.publisher.counts["refused"]) == (scene.sent["moved"],) * 2 + (0,)
        assert stored == sorted(stored)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["kill", "stop", "freeze"])
async def test_a_leader_that_dies_or_stands_still_costs_nothing_and_holds_up_no_other_stream(cluster, fault):
    async with opened(cluster) as scene:
        await scene.make("led", near=False)
        await scene.make("other", near=True)
        server = cluster.servers[await scene.leader("led")]
        async with poured(scene, "led", "other"):
            await asyncio.sleep(1)
            if fault == "freeze":
                server.freeze()
                await asyncio.sleep(10)
                server.resume()
            else:
                await getattr(server, fault)()
                await asyncio.sleep(10)
                await server.start()
            await asyncio.sleep(2)
        assert await scene.publisher.drain(30) == 0
        for stream in ("led", "other"):
            stored = await scene.stored(stream)
            assert (len(stored), len(set(stored))) == (scene.sent[stream],) * 2
            assert stored == sorted(stored)
        assert scene.publisher.counts["refused"] == scene.publisher.counts["lost"] == 0
        assert scene.slowest["other"] < 1.0


@pytest.mark.long
async def test_what_is_too_much_for_a_stream_on_a_dead_server_is_a_marked_gap(cluster, monkeypatch):
    monkeypatch.setattr(constants, "LANE_BYTES", 100_000)
    home = await make_single(cluster, "dead")
    async with opened(cluster, near=next(name for name in cluster.servers if name != home)) as scene:
        await scene.make("live", near=True)
        server = cluster.servers[home]
        async with poured(scene, "dead", "live"):
            await asyncio.sleep(0.5)
            await server.kill()
            await until(lambda: scene.publisher.counts["lost"] > RATE, 20)
            mark = scene.publisher.low_water_mark
            await asyncio.sleep(0.5)
            assert scene.publisher.low_water_mark == mark
            await server.start()
            await until(lambda: not scene.publisher._backlog._apart, 20)
            await asyncio.sleep(0.5)
        assert await scene.publisher.drain(20) == 0
        assert await scene.arrived("live")
        stored = await scene.stored("dead")
        (at,) = (index for index, found in enumerate(stored) if isinstance(found, dict))
        gap = stored[at]
        assert stored[:at] == list(range(at))
        assert stored[at + 1 :] == list(range(at + gap["events"], scene.sent["dead"]))
        assert gap["events"] == scene.publisher.counts["lost"]
        assert scene.slowest["live"] < 1.0
