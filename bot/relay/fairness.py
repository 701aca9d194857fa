"""Discord's limits are the whole application's: sandboxes take turns, and one that is refused too often has to wait."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from uuid import UUID

from loguru import logger

from bot import constants, metrics


class TooManyRequests(Exception):
    """Not asked at all: the sandbox's queue is full, or it has been refused too often. To be tried again then."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class ThrottledWarnings:
    """Each names a sandbox, once a minute at most: nothing else says whose bot it is, for metrics name none."""

    def __init__(self) -> None:
        self._told_at: dict[UUID, float] = {}

    def tell(self, message: str, sandbox_id: UUID, **facts: object) -> None:
        """Unless it was named within the last minute."""
        now = time.monotonic()
        since = now - constants.RELAY_SANDBOX_NAMED_EVERY_S
        self._told_at = {known: at for known, at in self._told_at.items() if at > since}
        if sandbox_id not in self._told_at:
            self._told_at[sandbox_id] = now
            logger.warning(message, sandbox=str(sandbox_id), **facts)


class FairQueue:
    """Lets so many requests a second through, by turns of the sandboxes that wait. `pause` holds all."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[UUID, deque[asyncio.Future[None]]] = OrderedDict()
        self._tokens = float(constants.RELAY_REQUESTS_BURST)
        self._counted_at = time.monotonic()
        self._paused_until = 0.0
        self._serving: asyncio.Task[None] | None = None
        self._warnings = ThrottledWarnings()
        self.seconds = metrics.RELAY_QUEUE_SECONDS.histogram()

    async def turn(self, sandbox_id: UUID) -> None:
        """Returns when it is this request's turn; `TooManyRequests` if too many of the sandbox's wait already, or the
        pause is too long to wait for."""
        with self.seconds.time():
            await self._turn(sandbox_id)

    async def _turn(self, sandbox_id: UUID) -> None:
        if not self._waiting and self._take():
            return
        if self._is_paused_long():
            raise TooManyRequests(self.pause_left_s)
        queue = self._waiting.setdefault(sandbox_id, deque())
        if len(queue) >= constants.RELAY_REQUESTS_TOLD_OF:
            self._warnings.tell("a sandbox's requests wait for their turn", sandbox_id, requests=len(queue))
        if len(queue) >= constants.RELAY_REQUESTS_WAITING:
            raise TooManyRequests(len(queue) / constants.RELAY_REQUESTS_A_SECOND)
        queue.append(turn := asyncio.get_running_loop().create_future())
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        await turn

    def pause(self, seconds: float) -> None:
        """Nobody asks for so long: Discord's global limit is reached, or Cloudflare lets the address ask no more."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        if self._is_paused_long():
            for turn in (turn for queue in self._waiting.values() for turn in queue if not turn.done()):
                turn.set_exception(TooManyRequests(self.pause_left_s))
            self._waiting.clear()

    @property
    def pause_left_s(self) -> float:
        """0 if there is none."""
        return max(self._paused_until - time.monotonic(), 0.0)

    def _is_paused_long(self) -> bool:
        return self.pause_left_s > constants.RELAY_PAUSE_WAITED_FOR_S

    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return sum(len(queue) for queue in self._waiting.values())

    def _take(self) -> bool:
        now = time.monotonic()
        if now < self._paused_until:
            return False
        rate = constants.RELAY_REQUESTS_A_SECOND
        self._tokens = min(constants.RELAY_REQUESTS_BURST, self._tokens + (now - self._counted_at) * rate)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def _serve(self) -> None:
        """Until nobody waits."""
        try:
            while self._waiting:
                if self._take():
                    self._let_one_through()
                else:
                    await asyncio.sleep(max(1 / constants.RELAY_REQUESTS_A_SECOND, self.pause_left_s))
        finally:
            self._serving = None

    def _let_one_through(self) -> None:
        """Of the sandbox whose last turn is longest ago."""
        sandbox_id, queue = self._waiting.popitem(last=False)
        turn = queue.popleft()
        if queue:
            self._waiting[sandbox_id] = queue
        if turn.done():  # whoever waited has given up: the turn is the next one's
            self._tokens += 1
        else:
            turn.set_result(None)


class InvalidRequests:
    """Discord bans the address after 10,000 refusals in ten minutes, and with it the team's own bot."""

    def __init__(self) -> None:
        self._refused_at: dict[UUID, deque[float]] = {}
        self._warnings = ThrottledWarnings()

    def count(self, sandbox_id: UUID) -> None:
        """Discord has answered 401, 403, 404 of a webhook, or a 429 that concerns all."""
        now = time.monotonic()
        since = now - constants.RELAY_INVALID_COUNTED_FOR_S
        self._refused_at = {known: refused for known, refused in self._refused_at.items() if refused[-1] > since}
        self._refused_at.setdefault(sandbox_id, deque(maxlen=constants.RELAY_INVALID_REQUESTS)).append(now)

    def recent(self) -> int:
        """How many there were lately, of all sandboxes; of one, no more than it may have."""
        since = time.monotonic() - constants.RELAY_INVALID_COUNTED_FOR_S
        return sum(at > since for refused in self._refused_at.values() for at in refused)

    def require_few(self, sandbox_id: UUID) -> None:
        """`TooManyRequests` if the sandbox has had as many as it may."""
        refused = self._refused_at.get(sandbox_id)
        if refused is None or len(refused) < constants.RELAY_INVALID_REQUESTS:
            return
        left = refused[0] + constants.RELAY_INVALID_COUNTED_FOR_S - time.monotonic()
        if left > 0:
            self._warnings.tell("a sandbox's requests are not passed on, Discord has refused too many", sandbox_id)
            raise TooManyRequests(left)
