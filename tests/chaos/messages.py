"""Numbered messages in every server, and what became of them in the streams."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import nats
from nats.js.client import JetStreamContext

from local_discord import LocalDiscord
from tests.streams import sandbox_streams

A_SECOND = 100


@dataclass(slots=True)
class Stored:
    """What a stream holds: of each guild the numbers in their order, and how many gaps are marked."""

    numbers: dict[int, list[int]] = field(default_factory=dict)
    gaps: int = 0


class Messages:
    """Every other one is for a server whose sandbox stays."""

    def __init__(self, discord: LocalDiscord, staying: Sequence[int], changing: Sequence[int]) -> None:
        self._discord, self._staying, self._changing = discord, staying, changing
        self.sent: Counter[int] = Counter()
        """By guild. Discord keeps them for a bot that is away, and sends them again."""

    async def pour(self) -> None:
        """Without end, at a steady rate."""
        clock = asyncio.get_running_loop().time
        began_at = clock()
        for done, guild_id in enumerate(self._turns()):
            while done > (clock() - began_at) * A_SECOND:
                await asyncio.sleep(1 / A_SECOND)
            self._send(guild_id)

    def _turns(self) -> Iterator[int]:
        turn = 0
        while True:
            yield self._staying[turn % len(self._staying)]
            yield self._changing[turn % len(self._changing)]
            turn += 1

    def _send(self, guild_id: int) -> None:
        data = {"guild_id": str(guild_id), "channel_id": "1", "content": "x" * 500, "number": self.sent[guild_id]}
        if self._discord.gateway.emit("MESSAGE_CREATE", data, guild_id=guild_id) is not None:
            self.sent[guild_id] += 1


async def read_streams(url: str) -> dict[str, Stored]:
    """All of them, by name."""
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        return {
            str(stream.config.name): await _read(jetstream, str(stream.config.name), stream.state.messages)
            for stream in await sandbox_streams(jetstream)
        }
    finally:
        await client.close()


async def _read(jetstream: JetStreamContext, name: str, count: int) -> Stored:
    stored = Stored()
    events = await jetstream.subscribe(">", stream=name, ordered_consumer=True)
    for _ in range(count):
        message = await events.next_msg(timeout=10)
        stored.gaps += message.subject.endswith("GATEWAY_GAP")
        if message.subject.endswith("MESSAGE_CREATE"):
            event = json.loads(message.data)["d"]
            stored.numbers.setdefault(int(event["guild_id"]), []).append(event["number"])
    await events.unsubscribe()
    return stored


def require_once(streams: Mapping[str, Stored]) -> None:
    """In each stream, whatever became of its sandbox. Of a server that was bound after some messages these may come
    late: from a bot that was killed before it could save its place, the next one hears them again."""
    for name, stored in streams.items():
        for guild_id, numbers in stored.numbers.items():
            twice = [number for number, count in Counter(numbers).items() if count > 1]
            assert not twice, f"{name}: messages of {guild_id} twice: {twice[:5]}"


def require_all_in_order(streams: Mapping[str, Stored], stream: str, guild_id: int, sent: int) -> None:
    """Every message is there, or a gap is marked."""
    stored = streams.get(stream, Stored())
    numbers = stored.numbers.get(guild_id, [])
    wrong = [pair for pair in pairwise(numbers) if pair[0] > pair[1]]
    assert not wrong, f"{stream}: messages out of order: {wrong[:5]}"
    missing = sorted(set(range(sent)) - set(numbers))
    assert not missing or stored.gaps, f"{stream}: {len(missing)} of {sent} messages lost: {missing[:5]} …"
