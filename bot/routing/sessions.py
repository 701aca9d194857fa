"""Where each shard's gateway session may go on: Discord plays again what JetStream may not have on its disk yet."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import NamedTuple, Protocol

import msgspec
import redis.asyncio
from loguru import logger
from redis.exceptions import RedisError

from bot import constants, names
from bot.settled import Settled
from bot.stores.failures import asking_redis
from bot.stores.nats_presence import Presence, ReadPresence


class Shard(NamedTuple):
    """Whose session it is. With another `total` Discord divides the guilds differently, and no session goes on."""

    application_id: int
    total: int
    id: int


class Session(msgspec.Struct, frozen=True):
    """What Discord has to be told to go on after the event `sequence`; `seen_at` is Unix time."""

    id: str
    resume_url: str
    sequence: int
    seen_at: float = msgspec.field(default_factory=time.time)
    gap_in: tuple[str, ...] = ()
    """Of a new one, the sandboxes, by their prefixes, in which the gap before it is marked. A loss of power may take
    the markers: whoever resumes it marks the gap again."""
    before: Session | None = None
    """And where that gap begins; None if nobody knows."""
    acknowledged: Session | None = None
    """How far NATS has acknowledged it, which may not be on its disk yet: as good as long as those servers run."""
    nats_servers: frozenset[str] = frozenset()
    """And their ids, each another one whenever it is started."""
    unstored: tuple[tuple[str, float], ...] = ()
    """Sandboxes, by their prefixes, whose streams took nothing when it was saved, and since when (Unix time): of what
    came for them after that, nothing may be stored."""


class AckTracker(Protocol):
    """Numbers what it is given in order, from 1, and knows up to which number everything is acknowledged."""

    @property
    def last_published(self) -> int:
        """The number of what it was given last; 0 before that."""

    @property
    def low_water_mark(self) -> int:
        """Up to this number everything is acknowledged or refused; it never falls."""


_CLAIM = """
if tonumber(redis.call('GET', KEYS[2]) or '0') <= tonumber(ARGV[1]) then
    redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
end
return redis.call('GET', KEYS[1])
"""
_SAVE = """
if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
"""
"""KEYS: session, epoch. ARGV: the caller's epoch, seconds to live, and the session to save. Compared and written in one
step: between two, another process could have taken over."""

_ALWAYS_THERE = Presence(frozenset({"always there"}), inf)
_NOTHING = -1  # no checkpoint waits for so small a number

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Session).decode


class SessionStore:
    """Keeps in Redis, for each shard, the newest checkpoint before which everything is acknowledged and on NATS's disk,
    and with it the newest before which everything is acknowledged: that one counts if all of NATS has run ever since.

    Saved sooner, a crash or a loss of power would lose what was under way: Discord would go on after it. So a
    checkpoint is taken together with the number that the publisher gave last, and saved when the low-water mark has
    reached that number. They are taken now and then, not for every event. Without Redis nothing is kept, and nothing
    else happens. With each the epoch of the shard's lease is written, and an older epoch overwrites nothing.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        acks: AckTracker,
        *,
        epoch_of: Callable[[int], int] = lambda _: 0,
        settled_after_s: float = 0.0,
        presence: ReadPresence = lambda: _ALWAYS_THERE,
    ) -> None:
        """`epoch_of` a shard's id: that of the lease which the process has; 0 if it has none. `settled_after_s`: how
        long after its acknowledgement an event is on the disk, of servers that run until then."""
        self._client, self._acks, self._epoch_of = client, acks, epoch_of
        self._presence, self._servers = presence, presence().servers
        self._settled_after_s, self._mark = settled_after_s, Settled(0, settled_after_s)
        self._checkpoints: dict[Shard, deque[tuple[int, Session]]] = {}
        """Oldest first, with the numbers that they wait for. The first may be saved already; the rest never is."""
        self._begun: dict[Shard, Session] = {}
        """New ones, of which no checkpoint may be saved yet."""
        self._saved: dict[Shard, Session] = {}
        self._loaded: dict[Shard, Settled[bool]] = {}
        """Whether what the process before has had acknowledged is on the disk by now."""

    async def load(self, shard: Shard) -> Session | None:
        """From where to go on after the last process, which saves no more from now on; None if there is nothing
        usable."""
        try:
            saved = await self._client.eval(_CLAIM, 2, *_keys(shard), self._epoch_of(shard.id), constants.SESSION_TTL_S)
            return self._take_over(shard, _decode(saved)) if saved else self._saved.get(shard)
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            logger.warning("the gateway session cannot be read, a new one begins", shard=shard.id, error=repr(error))
            return None

    def _take_over(self, shard: Shard, saved: Session) -> Session:
        self._saved[shard] = msgspec.structs.replace(saved, acknowledged=None, nats_servers=frozenset())
        are_there = saved.nats_servers and saved.nats_servers <= self._presence().servers
        if saved.acknowledged is None or not are_there:
            return self._saved[shard]
        self._loaded[shard] = Settled(False, self._settled_after_s)
        return msgspec.structs.replace(saved.acknowledged, unstored=saved.unstored)

    def begin(self, shard: Shard, session: Session, gap_in: Sequence[str]) -> None:
        """Discord has begun it, and nothing of it has been published but the markers of the gap before it. It can be
        saved at once, for who resumes it gets everything again."""
        saved = self._saved.get(shard)
        before = saved.before if saved is not None and saved.gap_in else saved
        self._begun[shard] = msgspec.structs.replace(session, gap_in=tuple(gap_in), before=before)

    def checkpoint(self, shard: Shard, session: Session) -> None:
        """Take one. All that the shard has received up to `session` has been published, acknowledged or not."""
        checkpoints = self._checkpoints.setdefault(shard, deque())
        if checkpoints and (checkpoints[-1][1].id, checkpoints[-1][1].sequence) == (session.id, session.sequence):
            # A quiet shard is only seen later, and waits for nothing more: another number would put the save off for
            # as long as the other shards are busy.
            checkpoints[-1] = (checkpoints[-1][0], session)
        elif len(checkpoints) >= constants.MOST_CHECKPOINTS:
            checkpoints[-1] = (self._acks.last_published, session)
        else:
            checkpoints.append((self._acks.last_published, session))

    def server_has_ended(self) -> bool:
        """Whether a server of NATS has, since this was asked last. New ones, and those that are back, have lost nothing
        that was theirs: what was acknowledged by one that is away was asked for again when it went."""
        before, self._servers = self._servers, self._presence().servers
        return not before <= self._servers

    def rewind(self, shard: Shard) -> Session | None:
        """NATS may have lost what has not settled: from where on Discord has to be asked again. None if it has lost
        nothing, or nobody knows."""
        if not self._settled_after_s:
            return None
        self._checkpoints.pop(shard, None)
        return self._saved.get(shard)

    async def save(self, unstored: Mapping[str, float] | None = None) -> None:
        """Write down each shard's newest checkpoint that is settled, or the beginning of its session; with each what
        the acknowledgements leave out, as `Session.unstored` says it.

        One whose shard another process has taken over is refused, and forgotten. `ServiceUnavailable` if Redis is away.
        """
        mark = self._mark.note(self._acks.low_water_mark, known_until=self._presence().until)
        shards = self._checkpoints.keys() | self._begun.keys()
        sessions = {shard: found for shard in shards if (found := self._find_record(shard, mark)) is not None}
        left_out = tuple((unstored or {}).items())
        pipeline = self._client.pipeline(transaction=False)
        for shard, session in sessions.items():
            record = _encode(msgspec.structs.replace(session, unstored=left_out))
            arguments = self._epoch_of(shard.id), constants.SESSION_TTL_S, record
            pipeline.eval(_SAVE, 2, *_keys(shard), *arguments)
        with asking_redis():
            outcomes = await pipeline.execute()
        for shard, session in sessions.items():
            self._saved[shard] = msgspec.structs.replace(session, acknowledged=None, nats_servers=frozenset())
        for shard, was_saved in zip(sessions, outcomes, strict=True):
            if not was_saved:
                self.forget(shard)

    def _find_record(self, shard: Shard, mark: int) -> Session | None:
        """What may be saved of it; None if there is nothing new. `mark`: up to it everything is on the disk."""
        acknowledged = self._find_acknowledged(shard)
        loaded = self._loaded.get(shard)
        is_settled = loaded is None or loaded.note(True, known_until=self._presence().until)
        settled = self._find_settled(shard, mark if is_settled else _NOTHING)
        known = settled or self._saved.get(shard)
        if acknowledged is None or known is None or acknowledged == settled or acknowledged.id != known.id:
            return settled
        return msgspec.structs.replace(known, acknowledged=acknowledged, nats_servers=self._presence().servers)

    def _find_acknowledged(self, shard: Shard) -> Session | None:
        checkpoints, mark = self._checkpoints.get(shard) or (), self._acks.low_water_mark
        return next((session for number, session in reversed(checkpoints) if number <= mark), None)

    def _find_settled(self, shard: Shard, mark: int) -> Session | None:
        checkpoints = self._checkpoints.get(shard) or deque()
        while len(checkpoints) > 1 and checkpoints[1][0] <= mark:
            checkpoints.popleft()
        settled = checkpoints[0][1] if checkpoints and checkpoints[0][0] <= mark else None
        begun = self._begun.get(shard)
        if begun is None:
            return settled
        if settled is None or settled.id != begun.id:
            # What of the session before has settled only now shortens the gap that may have to be marked again.
            self._begun[shard] = msgspec.structs.replace(begun, before=settled or begun.before)
            return self._begun[shard]
        del self._begun[shard]
        return settled

    def forget(self, shard: Shard) -> None:
        """Save nothing of what was taken of it."""
        for known in (self._checkpoints, self._begun, self._saved, self._loaded):
            known.pop(shard, None)


def _keys(shard: Shard) -> tuple[str, str]:
    return names.gateway_session_key(*shard), names.gateway_epoch_key(*shard)
