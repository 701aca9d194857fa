"""From a gateway message to a subject: no await, no I/O, no log line."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from bot.routing import events
from bot.routing.events import Envelope
from bot.routing.table import RouteTable
from sandbox_worker import protocol

GAP = "GATEWAY_GAP"
"""The name, no event of Discord's, of what stands for events that it did not deliver."""

_OF_MESSAGES = frozenset({"MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE"})
_MOST_CHANNELS = 100_000
_MOST_INTERACTIONS = 1000


class Outlet(Protocol):
    """Where routed events go."""

    def publish(
        self, subject: str, payload: bytes, message_id: str, headers: Mapping[str, str] | None = None
    ) -> None: ...

    def publish_unacknowledged(self, subject: str, payload: bytes) -> None: ...

    def fits(self, payload: bytes) -> bool: ...


class Audience(Protocol):
    """Who is to answer the interactions that are forwarded."""

    def expect(self, interaction_id: int, prefix: str, text: str) -> None: ...

    def answered(self, interaction_id: int) -> bool: ...


class EventRouter:
    """Sends every event of a bound guild, as received, to its sandbox. It reads nothing of what it has sent."""

    def __init__(
        self,
        table: RouteTable,
        outlet: Outlet,
        *,
        own_commands: Collection[str],
        component_prefix: str,
        unbound_subject: str = "",
        audience: Audience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table, self._outlet, self._clock = table, outlet, clock
        self._audience = audience
        self._own_commands, self._component_prefix = frozenset(own_commands), component_prefix
        self._unbound_prefix = f"{unbound_subject}." if unbound_subject else ""
        self._channels: dict[int, int] = {}
        self._own_interactions: deque[int | None] = deque(maxlen=_MOST_INTERACTIONS)
        self.counts: Counter[str] = Counter()
        self.activity: Counter[str] = Counter()
        """Events by the prefix of the sandbox that they were routed to; whoever writes them down clears it."""

    def route(self, envelope: Envelope, text: str, shard_id: int, session_id: str) -> None:
        """Publish a dispatch if its guild is bound, and count what became of it."""
        self.counts["received"] += 1
        name = envelope.t
        if name is None or envelope.s is None:
            self.counts["malformed"] += 1
            return
        guild_id = events.guild_id_of(envelope) or self._guild_of_channel(envelope)
        if guild_id is None:
            self.counts["without guild"] += 1
        elif name == "INTERACTION_CREATE" and self.is_own(envelope):
            self._own_interactions.append(events.object_id_of(envelope))
            self.counts["own interactions"] += 1
        elif self._answers_own(envelope):
            self.counts["own replies"] += 1
        elif (route := self._table.lookup(guild_id, self._clock())) is not None:
            self._learn_channel(envelope, guild_id)
            self._publish(route.prefix, envelope, text, f"{session_id}:{shard_id}:{envelope.s}")
            self.counts["routed"] += 1
            if name == "INTERACTION_CREATE":
                self._expect_answer(route.prefix, envelope, text)
            self.activity[route.prefix] += 1
        else:
            self.counts["unbound"] += 1
            if self._unbound_prefix and _is_token(name):
                self._outlet.publish_unacknowledged(self._unbound_prefix + name, text.encode())

    def mark_gap(self, facts: Mapping[str, object], shard_id: int, shard_count: int, session_id: str) -> int:
        """Tell every sandbox that has guilds on the shard that events may be missing; how many there are."""
        marked = 0
        for prefix, guild_ids in self._table.by_prefix(self._clock()).items():
            concerned = [str(guild_id) for guild_id in guild_ids if (guild_id >> 22) % shard_count == shard_id]
            if concerned:
                gap = {"op": 0, "t": GAP, "s": None, "d": {**facts, "guild_ids": concerned}}
                self._outlet.publish(prefix + GAP, json.dumps(gap).encode(), f"{session_id}:{shard_id}:gap")
                marked += 1
        self.counts["gaps"] += marked
        return marked

    def is_own(self, envelope: Envelope) -> bool:
        """Whether an interaction is with the bot itself; every other one is for a sandbox's worker."""
        target = events.interaction_target(envelope)
        return target in self._own_commands or target.startswith(self._component_prefix)

    def _answers_own(self, envelope: Envelope) -> bool:
        """Whether it is one of the bot's own replies, which only the asker may see."""
        answered = events.answered_interaction(envelope)
        if answered is None:
            return False
        if self._audience is not None and self._audience.answered(answered):
            return True
        return answered in self._own_interactions

    def _expect_answer(self, prefix: str, envelope: Envelope, text: str) -> None:
        interaction_id = events.object_id_of(envelope)
        if self._audience is not None and interaction_id is not None and events.wants_answer(envelope):
            self._audience.expect(interaction_id, prefix, text)

    def _publish(self, prefix: str, envelope: Envelope, text: str, message_id: str) -> None:
        assert envelope.t is not None
        if not _is_token(envelope.t):
            self.counts["malformed"] += 1
            return
        payload = text.encode()
        if self._outlet.fits(payload):
            self._outlet.publish(prefix + envelope.t, payload, message_id)
            return
        self.counts["too large"] += 1
        stub = _stub(envelope, len(payload))
        self._outlet.publish(prefix + envelope.t, stub, message_id, {protocol.TOO_LARGE_HEADER: str(len(payload))})

    def _guild_of_channel(self, envelope: Envelope) -> int | None:
        """Ephemeral messages in a guild do not name it; their channel has been seen, though."""
        if envelope.t not in _OF_MESSAGES:
            return None
        channel_id = events.channel_id_of(envelope)
        return self._channels.get(channel_id) if channel_id is not None else None

    def _learn_channel(self, envelope: Envelope, guild_id: int) -> None:
        channel_id = events.channel_id_of(envelope)
        if channel_id is None or channel_id in self._channels:
            return
        if len(self._channels) >= _MOST_CHANNELS:
            del self._channels[next(iter(self._channels))]
        self._channels[channel_id] = guild_id


def _stub(envelope: Envelope, size: int) -> bytes:
    """Stands in for what NATS would refuse: which event it was, and how large."""
    identity = {"guild_id": str(events.guild_id_of(envelope)), "id": str(events.object_id_of(envelope))}
    stub = {"op": 0, "t": envelope.t, "s": envelope.s, "d": identity, "too_large": {"bytes": size}}
    return json.dumps(stub).encode()


def _is_token(name: str) -> bool:
    """Whether it may stand in a NATS subject."""
    return name.isascii() and name.replace("_", "").isalnum()
