"""Notices streams that take no events, asks JetStream about them, and tries them until they do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from loguru import logger
from nats.aio.client import Client
from nats.js.errors import ServiceUnavailableError

from bot import constants
from bot.clock import elapsed
from bot.errors import Lack
from bot.routing import frames
from bot.routing.acks import AckError
from bot.routing.backlog import Backlog
from bot.routing.lanes import Lane, Recovery
from bot.routing.oldest import OldestEvent
from bot.routing.refusals import find_refusal, has_leader
from bot.stores.nats_client import FAILURES, NO_JETSTREAM

type Refuse = Callable[[int, str], None]
"""Gives an event up, by its number, for a reason."""


class LaneWatch:
    """A stream without a leader answers nothing, or that nobody listens. Neither is a refusal: whether there is such a
    stream only the leader of all of JetStream knows."""

    def __init__(
        self, client: Client, backlog: Backlog, counts: Counter[str], refuse: Refuse, *, patience_s: float
    ) -> None:
        """`patience_s`: a stream that acknowledges nothing for so long takes nothing."""
        self._client, self._backlog, self._counts, self._refuse = client, backlog, counts, refuse
        self._patience_s = patience_s
        self._doubted: dict[str, Lane] = {}
        self._doubt = asyncio.Event()
        self._stored_elsewhere = 0
        self._connected_at = elapsed()
        self.oldest = OldestEvent()

    @property
    def apart_for_s(self) -> float:
        """For how long a stream has taken nothing while others do, on the connection that there is; 0 if there is none,
        or it has no more storage."""
        recoveries = [lane.recovery for lane in self._backlog.lanes.values() if lane.recovery is not None]
        began_at = [one.began_at for one in recoveries if one.is_apart and one.lack is not Lack.STORAGE]
        return elapsed() - max(min(began_at), self._connected_at) if began_at else 0.0

    def fail(self, lane: Lane, *, error: AckError | None = None) -> None:
        """It has not taken an event, and says so; without an error there is nobody whom it reaches."""
        self._hold_back(lane)
        if error is not None:
            self.oldest.fail(error)
        if lane.recovery is not None:
            lane.recovery.is_leaderless |= error is None
            lane.recovery.lack = None if error is None else error.lack

    def on_acknowledged(self, lane: Lane) -> None:
        """It recovers, and has taken an event; or one was refused, and others may be taken."""
        if lane.recovery is None:
            return
        self._backlog.close_gap(lane)
        self._counts["resent"] += lane.go_on(elapsed(), self._patience_s)
        self._backlog.send(lane)
        if lane.is_all_sent:
            if lane.is_apart:
                logger.info("a stream takes events again", subjects=f"{lane.prefix}.>")
            self._backlog.recover(lane)

    def look(self) -> None:
        """Every so often, while NATS is there."""
        now = elapsed()
        others_go_on = self._others_go_on()
        self._backlog.forget_idle()
        for lane in self._backlog.lanes.values():
            recovery = lane.recovery
            if recovery is None:
                if lane.is_silent(now, self._patience_s):
                    self._hold_back(lane)
                continue
            if others_go_on and recovery.has_failed:
                self._set_apart(lane)
            if recovery.is_apart:
                self._wait_at_most(lane, recovery)
            if now >= recovery.due_at:
                self._try_again(lane, now)
        self.oldest.look(self._backlog.oldest_in_window)

    def begin_anew(self) -> None:
        """The connection is a new one: nobody knows what was lost with the last."""
        self.oldest.begin_anew()
        self._connected_at = now = elapsed()
        for lane in self._backlog.lanes.values():
            if lane.pending:
                lane.hold_back(now, self._backlog.last_number)
                self._try_again(lane, now)

    async def ask_for_ever(self) -> None:
        """About each stream that takes nothing, whenever it is tried."""
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            doubted, self._doubted = self._doubted, {}
            for lane in doubted.values():
                if lane.recovery is not None and not await self._ask_about(lane):
                    break  # nor would it say anything of the others

    async def _ask_about(self, lane: Lane) -> bool:
        """Gives up what lies in no stream, and sets apart what lies in one without a leader; False if JetStream does
        not say."""
        frame = next(iter(lane.pending.values()), None)
        if frame is None:
            return True
        subject = frames.subject_of(frame)
        try:
            reason = await find_refusal(self._client, subject, constants.NATS_ANSWER_WITHIN_S)
            if reason is None and not await self._has_leader(lane, subject):
                self._set_apart(lane)
        except ServiceUnavailableError as error:
            self.oldest.fail(AckError(error.description or NO_JETSTREAM))
            return False
        except FAILURES:
            return False
        if reason is not None:
            for number in [n for n, frame in lane.pending.items() if frames.subject_of(frame) == subject]:
                self._refuse(number, reason)
        return True

    async def _has_leader(self, lane: Lane, subject: str) -> bool:
        if lane.recovery is None or lane.is_apart:
            return True
        return not lane.recovery.is_leaderless and await has_leader(
            self._client, subject, constants.NATS_ANSWER_WITHIN_S
        )

    def _hold_back(self, lane: Lane) -> None:
        if lane.hold_back(elapsed(), self._backlog.last_number):
            self._ask_soon(lane)

    def _try_again(self, lane: Lane, now: float) -> None:
        self._counts["resent"] += lane.try_again(now)
        self._backlog.send(lane)
        self._ask_soon(lane)

    def _wait_at_most(self, lane: Lane, recovery: Recovery) -> None:
        if lane.prefix in self._backlog.unstored or elapsed() - recovery.began_at > constants.LANE_WAITED_FOR_S:
            self._backlog.wait_no_longer(lane, recovery.began_at - self._patience_s)

    def _ask_soon(self, lane: Lane) -> None:
        self._doubted[lane.prefix] = lane
        self._doubt.set()

    def _set_apart(self, lane: Lane) -> None:
        if not lane.is_apart:
            self._backlog.set_apart(lane)
            logger.warning("a stream takes no events: they wait, and others go on", subjects=f"{lane.prefix}.>")

    def _others_go_on(self) -> bool:
        """Whether other streams have taken events since this was asked last."""
        before, self._stored_elsewhere = self._stored_elsewhere, self._backlog.stored_elsewhere
        return self._stored_elsewhere > before
