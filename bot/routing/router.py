"""From a gateway message to a subject: no await, no I/O, no log line."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Protocol

from bot import constants
from bot.clock import elapsed
from bot.routing.dispatch import OF_MESSAGES, Dispatch
from bot.routing.table import RouteTable
from sandbox_worker import protocol


class Sink(Protocol):
    """Where routed events go. Nothing of it may wait: the router runs once for each event."""

    def publish(self, subject: str, payload: bytes, message_id: str, headers: Mapping[str, str] | None = None) -> None:
        """Take it for good, to be stored once, however often the message id comes."""

    def publish_unacknowledged(self, subject: str, payload: bytes) -> None:
        """Pass it to whoever listens just now."""

    def fits(self, payload: bytes) -> bool:
        """Whether `publish` may be called with it."""


class ResponseTracker(Protocol):
    """Who looks after the interactions that are forwarded, until somebody responds to them."""

    def watch(self, interaction_id: int, prefix: str, text: str) -> None:
        """The interaction, as `text` has it, has been published below the prefix just now."""

    def record_response(self, interaction_id: int) -> bool:
        """A message responds to it; True if that message is the bot's own."""


class Forwarded(Protocol):
    """Who knows to which sandbox interactions went, by the prefix of its subjects."""

    def prefix_of(self, snowflake: int | None) -> str | None:
        """Where an interaction or a private message went; None if that is not known."""

    def remember(self, snowflake: int, prefix: str) -> None:
        """It goes there just now."""

    def withhold(self, prefix: str) -> None:
        """A private answer of that sandbox's server goes nowhere, since nothing is known of it."""


class OwnInteractions(Protocol):
    """Who knows which interactions are with the bot itself."""

    async def prepare(self, dispatch: Dispatch) -> None:
        """Before an interaction is routed: find out what `include` has to know. Takes a bounded time."""

    def include(self, dispatch: Dispatch) -> bool:
        """Whether it is with the bot itself."""


class EventRouter:
    """Sends every event of a bound guild, as received, to its sandbox. It reads nothing of what it has sent."""

    def __init__(
        self,
        table: RouteTable,
        sink: Sink,
        forwarded: Forwarded,
        own_interactions: OwnInteractions,
        *,
        unbound_subject: str = "",
        responses: ResponseTracker | None = None,
        clock: Callable[[], float] = elapsed,
    ) -> None:
        self._table, self._sink, self._clock = table, sink, clock
        self._forwarded, self._responses = forwarded, responses
        self.own_interactions = own_interactions
        self._unbound_prefix = f"{unbound_subject}." if unbound_subject else ""
        self._guild_of_channel: dict[int, int] = {}
        self._own_interactions: deque[int | None] = deque(maxlen=constants.REMEMBERED_INTERACTIONS)
        self.counts: Counter[str] = Counter()
        """What became of the events since the start, by a phrase for each outcome."""
        self.activity: Counter[str] = Counter()
        """Events by the prefix of the sandbox that they were routed to; whoever writes them down clears it."""

    def route(self, dispatch: Dispatch, text: str, shard_id: int, session_id: str) -> None:
        """Publish a dispatch if its guild is bound, and count what became of it. `text` is what was read."""
        self.counts["received"] += 1
        name = dispatch.name
        if name is None or dispatch.sequence is None:
            self.counts["malformed"] += 1
            return
        guild_id = dispatch.guild_id or self._guild_of_message(dispatch)
        if guild_id is None:
            self.counts["without guild"] += 1
        elif name == "INTERACTION_CREATE" and self.is_own_interaction(dispatch):
            self._own_interactions.append(dispatch.id)
            self.counts["own interactions"] += 1
        elif name in OF_MESSAGES and not dispatch.is_plain and (why := self._why_kept(dispatch, guild_id)):
            self.counts[why] += 1
        elif (route := self._table.lookup(guild_id, self._clock())) is not None:
            self._learn_channel(dispatch, guild_id)
            self._publish(route.prefix, dispatch, text, f"{session_id}:{shard_id}:{dispatch.sequence}")
            self.counts["routed"] += 1
            if name == "INTERACTION_CREATE":
                self._watch_response(route.prefix, dispatch, text)
            self.activity[route.prefix] += 1
        else:
            self.counts["unbound"] += 1
            if self._unbound_prefix and _is_token(name):
                self._sink.publish_unacknowledged(self._unbound_prefix + name, text.encode())

    def is_bound(self, guild_id: int) -> bool:
        """Whether the guild's events go to a sandbox just now."""
        return self._table.lookup(guild_id, self._clock()) is not None

    def publish_gap(
        self,
        facts: Mapping[str, object],
        shard_id: int,
        shard_count: int,
        session_id: str,
        *,
        among: Collection[str] | None = None,
    ) -> int:
        """Tell every sandbox that has guilds on the shard, or those `among` them, that events may be missing; how many
        there are.

        `facts`, as JSON, and the guilds become the marker's `d`; there is one for each new session and sandbox.
        """
        sandboxes = 0
        for prefix, guild_ids in self.guilds_on(shard_id, shard_count).items():
            if among is None or prefix in among:
                gap = protocol.gap(facts, guild_ids)
                self._sink.publish(prefix + protocol.GAP_EVENT, gap, f"{session_id}:{shard_id}:gap")
                sandboxes += 1
        self.counts["gaps"] += sandboxes
        return sandboxes

    def guilds_on(self, shard_id: int, shard_count: int) -> dict[str, list[int]]:
        """The bound guilds of a shard, by the prefixes of their sandboxes."""
        found: dict[str, list[int]] = {}
        for prefix, guild_ids in self._table.guilds_by_prefix(self._clock()).items():
            if on_shard := [guild_id for guild_id in guild_ids if (guild_id >> 22) % shard_count == shard_id]:
                found[prefix] = on_shard
        return found

    def guilds_of(self, prefix: str) -> list[int]:
        """Those whose events go to the sandbox with that prefix just now."""
        return self._table.guilds_by_prefix(self._clock()).get(prefix, [])

    def is_own_interaction(self, dispatch: Dispatch) -> bool:
        """Whether an interaction is with the bot itself; every other one is for a sandbox's worker."""
        return self.own_interactions.include(dispatch)

    def destination(self, dispatch: Dispatch) -> str | None:
        """The prefix of the sandbox that its server is bound to; None if it belongs to none."""
        guild_id = dispatch.guild_id or self._guild_of_message(dispatch)
        route = self._table.lookup(guild_id, self._clock()) if guild_id is not None else None
        return route.prefix if route is not None else None

    def _why_kept(self, dispatch: Dispatch, guild_id: int) -> str:
        """Why a message that answers or is private goes to no sandbox, as a phrase for the counts; empty if it does."""
        if self._is_own_reply(dispatch):
            return "own replies"
        return "withheld" if dispatch.is_private and not self._may_see(dispatch, guild_id) else ""

    def _may_see(self, dispatch: Dispatch, guild_id: int) -> bool:
        """Whether a private message answers an interaction that went to the sandbox that would get it. Nobody else's
        may: another sandbox's, if the server was bound to that before, or the bot's own, which no process knows that
        was started since."""
        route = self._table.lookup(guild_id, self._clock())
        if route is None:
            return False
        known = self._forwarded.prefix_of(dispatch.answered_interaction) or self._forwarded.prefix_of(dispatch.id)
        if known != route.prefix:
            self._forwarded.withhold(route.prefix)
            return False
        if dispatch.id is not None:
            self._forwarded.remember(dispatch.id, route.prefix)  # that it is deleted tells of no interaction
        return True

    def _is_own_reply(self, dispatch: Dispatch) -> bool:
        """Whether it is one of the bot's own replies, which only the asker may see."""
        answered = dispatch.answered_interaction
        if answered is None:
            return False
        if self._responses is not None and self._responses.record_response(answered):
            return True
        return answered in self._own_interactions

    def _watch_response(self, prefix: str, dispatch: Dispatch, text: str) -> None:
        interaction_id = dispatch.id
        if self._responses is not None and interaction_id is not None and dispatch.expects_message:
            self._responses.watch(interaction_id, prefix, text)

    def _publish(self, prefix: str, dispatch: Dispatch, text: str, message_id: str) -> None:
        assert dispatch.name is not None
        if not _is_token(dispatch.name):
            self.counts["malformed"] += 1
            return
        payload = text.encode()
        if self._sink.fits(payload):
            self._sink.publish(prefix + dispatch.name, payload, message_id)
            return
        self.counts["too large"] += 1
        stub = _stub(dispatch, len(payload))
        self._sink.publish(prefix + dispatch.name, stub, message_id, {protocol.TOO_LARGE_HEADER: str(len(payload))})

    def _guild_of_message(self, dispatch: Dispatch) -> int | None:
        """Ephemeral messages in a guild do not name it; their channel has been seen, though."""
        if dispatch.name not in OF_MESSAGES:
            return None
        channel_id = dispatch.channel_id
        return self._guild_of_channel.get(channel_id) if channel_id is not None else None

    def _learn_channel(self, dispatch: Dispatch, guild_id: int) -> None:
        channel_id = dispatch.channel_id
        if channel_id is None or channel_id in self._guild_of_channel:
            return
        if len(self._guild_of_channel) >= constants.REMEMBERED_CHANNELS:
            # A dict keeps its order, so this is the channel learned longest ago.
            del self._guild_of_channel[next(iter(self._guild_of_channel))]
        self._guild_of_channel[channel_id] = guild_id


def _stub(dispatch: Dispatch, size: int) -> bytes:
    """Stands in for what NATS would refuse: which event it was, and how large."""
    identity = {"guild_id": str(dispatch.guild_id), "id": str(dispatch.id)}
    stub = {"op": 0, "t": dispatch.name, "s": dispatch.sequence, "d": identity, "too_large": {"bytes": size}}
    return json.dumps(stub).encode()


@lru_cache(maxsize=256)  # there are fewer events, and each is asked about every time
def _is_token(name: str) -> bool:
    """Whether it may stand in a NATS subject."""
    return name.isascii() and name.replace("_", "").isalnum()
