"""A local Discord in a process of its own, which can also send prepared frames much faster than anybody receives."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import batched

from bench import processes
from bench.processes import Json
from local_discord import Guild, LocalDiscord, Person
from local_discord.gateway.sessions import Session

EVENT_BYTES = 1500
_FRAMES_A_WRITE = 64
_POUR_EVERY_S = 0.005


class Sender:
    """Its guilds are there before anybody connects."""

    def __init__(self, discord: LocalDiscord, guilds: int, kept_events: int = 10_000, shards: int = 1) -> None:
        self._discord, self._shards = discord, shards
        discord.settings.kept_events = kept_events
        self._poured: Counter[int] = Counter()
        self._enough = asyncio.Event()
        self._people = [discord.add_person(f"person-{number}") for number in range(guilds)]
        self._guilds = [discord.add_guild(f"Guild {n}", owner=person) for n, person in enumerate(self._people)]
        pairs = zip(self._guilds, self._people, strict=True)
        self._messages = {guild.id: _message(guild, person) for guild, person in pairs}

    async def describe(self) -> Json:
        discord = self._discord
        return {
            "api_base": discord.api_base,
            "token": discord.token,
            "guilds": [guild.id for guild in self._guilds],
            "owner": discord.owner.id,
        }

    async def wait_ready(self) -> Json:
        await self._discord.wait_ready(30)
        return {}

    async def blast(self, events: int) -> Json:
        """Messages of 1.5 KB, guild by guild in turn, as fast as the receivers take them, as many to each shard. Times
        are monotonic."""
        sessions = self._discord.gateway.live()
        frames = [batched(self._frames(session, events // len(sessions)), _FRAMES_A_WRITE) for session in sessions]
        prepared = [list(each) for each in frames] if events <= 100_000 else frames
        started_at, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*map(_write, sessions, prepared))
        return {"started_at": started_at, "ended_at": time.monotonic(), "cpu": time.process_time() - cpu}

    async def trickle(self, events: int, rate: float) -> Json:
        """The same at a steady rate (a second), each stamped with the monotonic time at which it is sent."""
        (session,) = self._discord.gateway.live()
        templates = [_template(message) for message in self._messages.values()]
        started_at = time.monotonic()
        for number in range(events):
            await asyncio.sleep(max(started_at + number / rate - time.monotonic(), 0))
            head, tail = templates[number % len(templates)]
            session.sequence += 1
            stamp = f"{time.monotonic():020.9f}".encode()
            await _write(session, [(_frame(head % (session.sequence, stamp) + tail),)])
        return {"seconds": time.monotonic() - started_at}

    async def pour(self, rate: int, every_s: float = _POUR_EVERY_S) -> Json:
        """From now on messages at that rate, as this Discord sends its own: kept, and played again after a RESUME."""
        self._poured.clear()
        self._enough.clear()
        self._pouring = asyncio.create_task(self._pour(rate, every_s))
        return {}

    async def _pour(self, rate: int, every_s: float) -> None:
        started_at, sent = time.monotonic(), 0
        while not self._enough.is_set():
            while sent < (time.monotonic() - started_at) * rate:
                guild = self._guilds[sent % len(self._guilds)]
                self._pour_one(guild)
                sent += 1
            await asyncio.sleep(every_s)

    def _pour_one(self, guild: Guild) -> None:
        number = self._poured[guild.id]
        self._poured[guild.id] += 1
        data = self._messages[guild.id] | {"number": number, "content": "x" * EVENT_BYTES}
        self._discord.gateway.emit("MESSAGE_CREATE", data, guild_id=guild.id)

    async def poured(self) -> Json:
        """Ends it: how many messages each guild has had, and how many sessions there were."""
        self._enough.set()
        await self._pouring
        return {"sent": dict(self._poured), "identifies": self._discord.identifies}

    def _frames(self, session: Session, events: int) -> Iterator[bytes]:
        guilds = [guild.id for guild in self._guilds if (guild.id >> 22) % self._shards == session.shard]
        templates = [_template(self._messages[guild]) for guild in guilds]
        stamp = b"0" * 20
        for number in range(events):
            head, tail = templates[number % len(templates)]
            session.sequence += 1
            yield _frame(head % (session.sequence, stamp) + tail)


async def _write(session: Session, batches: Iterable[Iterable[bytes]]) -> None:
    """Past aiohttp's WebSocket, whole frames at a time."""
    assert session.connection is not None
    request = session.connection._request
    assert request.transport is not None
    for frames in batches:
        request.transport.write(b"".join(frames))
        await request.protocol._drain_helper()


def _message(guild: Guild, author: Person) -> Json:
    member = guild.members[author.id].partial()
    return {
        "type": 0,
        "tts": False,
        "timestamp": "2026-01-01T12:00:00.000000+00:00",
        "pinned": False,
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "member": member,
        "id": str(guild.id + 1),
        "flags": 0,
        "embeds": [],
        "edited_timestamp": None,
        "content": "",
        "components": [],
        "channel_id": str(guild.general.id),
        "author": author.payload(),
        "attachments": [],
        "guild_id": str(guild.id),
    }


def _template(message: Json) -> tuple[bytes, bytes]:
    """Its text before and after what changes: sequence and stamp."""
    body = json.dumps(message, separators=(",", ":")).encode()
    head = b'{"t":"MESSAGE_CREATE","s":%d,"op":0,"d":{"nonce":"%b",'
    missing = EVENT_BYTES - len(head) - len(body) - 20
    return head, body.replace(b'"content":""', b'"content":"%b"' % (b"x" * missing))[1:] + b"}"


def _frame(text: bytes) -> bytes:
    """A server's text frame, between 126 and 65,535 bytes."""
    return b"\x81\x7e" + len(text).to_bytes(2) + text


async def main() -> None:
    config = processes.config()
    async with LocalDiscord(shards=config.get("shards", 1)) as discord:
        sender = Sender(discord, **config)
        await processes.serve(
            {
                "describe": sender.describe,
                "wait_ready": sender.wait_ready,
                "blast": sender.blast,
                "trickle": sender.trickle,
                "pour": sender.pour,
                "poured": sender.poured,
            }
        )


if __name__ == "__main__":
    asyncio.run(main())
