"""Numbered events in every server, and what became of them in the streams."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import Error as JetStreamError

from local_discord import LocalDiscord

EVENT = "MESSAGE_CREATE"
_NUMBER = re.compile(rb'"number":(\d+)')
_EVERY_S = 0.005
_AT_A_TIME = 2000
_AGAIN_AFTER_S = 0.1


class Load:
    """`rates` are events a second, by guild."""

    def __init__(self, discord: LocalDiscord, rates: Mapping[int, float]) -> None:
        self._discord, self._rates = discord, rates
        self.sent: Counter[int] = Counter()
        """By guild; their numbers count from 0. Discord keeps them for a bot that is away."""

    async def pour(self) -> None:
        """Without end, at a steady rate."""
        began_at = time.monotonic()
        while True:
            passed = time.monotonic() - began_at
            for guild_id, rate in self._rates.items():
                while self.sent[guild_id] < passed * rate:
                    self._send(guild_id)
            await asyncio.sleep(_EVERY_S)

    def _send(self, guild_id: int) -> None:
        data = {"guild_id": str(guild_id), "channel_id": "1", "content": "x" * 500, "number": self.sent[guild_id]}
        assert self._discord.gateway.emit(EVENT, data, guild_id=guild_id) is not None, "no bot has a session"
        self.sent[guild_id] += 1


@dataclass(slots=True)
class Account:
    """What came, in its order, of all that was sent."""

    doubled: int = 0
    out_of_order: int = 0
    gaps: int = 0
    seen: set[int] = field(default_factory=set)
    last: int = -1

    def note(self, number: int) -> None:
        """One has come."""
        if number in self.seen:
            self.doubled += 1
        elif number < self.last:
            self.out_of_order += 1
        self.seen.add(number)
        self.last = max(self.last, number)

    def lost(self, first: int, end: int) -> int:
        """How many have not come of those from the first on, the end not included."""
        return len(set(range(first, end)) - self.seen)


class StreamReader:
    """Goes on where it was, so that each event is read once."""

    def __init__(self, jetstream: JetStreamContext, stream: str) -> None:
        self._jetstream, self.stream = jetstream, stream
        self._next = 1
        self.account = Account()

    async def read_until(self, number: int, seconds: float) -> None:
        """Return when it has the event of that number, or after so many seconds."""
        give_up_at = time.monotonic() + seconds
        while self.account.last < number and time.monotonic() < give_up_at:
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + seconds):
                    await self._read(number, give_up_at)
            except (NatsError, JetStreamError, OSError, TimeoutError):
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _read(self, number: int, give_up_at: float) -> None:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._next,
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
        )
        consumer = await self._jetstream.pull_subscribe(">", stream=self.stream, config=config)
        try:
            while self.account.last < number and time.monotonic() < give_up_at:
                for message in await consumer.fetch(_AT_A_TIME, timeout=1):
                    self._next = message.metadata.sequence.stream + 1
                    self._note(message.subject, message.data)
        finally:
            await consumer.unsubscribe()

    def _note(self, subject: str, data: bytes) -> None:
        self.account.gaps += subject.endswith("GATEWAY_GAP")
        if subject.endswith(EVENT) and (found := _NUMBER.search(data)):
            self.account.note(int(found[1]))
