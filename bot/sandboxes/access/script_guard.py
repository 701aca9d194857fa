"""Keeps sandboxes from stopping Valkey for all by a script that does not end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from loguru import logger
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as Silent

from bot import constants, names
from bot.sandboxes.access.store_restarts import ServerRestarts
from bot.stores.failures import asking_redis
from bot.stores.redis_scripts import Ended, ScriptWatch, user_of_report
from bot.supervisor import Part

Withdraw = Callable[[UUID, bool], Awaitable[None]]
"""Takes scripts from a sandbox; whether the server was ended for it."""


class ScriptGuard:
    """Looks a few times a second whether the server answers, has it kill a script that stops it, and takes scripts from
    the sandbox whose it was.

    A script that has written can't be killed, and one within a function of C isn't seen as one: the embedded server is
    ended then, by a signal on which it says what it was doing, and started again. So it is when whoever runs such
    scripts leaves before they can be found. Another server is its operator's to start again.
    """

    def __init__(
        self, url: str, withdraw: Withdraw, restore: Callable[[], Awaitable[None]], restarts: ServerRestarts | None
    ) -> None:
        """`restore` makes users again in a server that was started anew; `restarts` is None if it isn't this process's
        own."""
        self._url, self._withdraw, self._restore, self._restarts = url, withdraw, restore, restarts
        self._embedded = restarts.embedded if restarts is not None else None
        self._named_by_end_until = 0.0  # of time.monotonic()
        self._computed_s = self._computing_s()  # by the last answer
        self._is_told = False

    async def run(self, part: Part) -> None:
        """One connection's life; `ServiceUnavailable` at its end."""
        watch = ScriptWatch(self._url)
        try:
            with asking_redis():
                while True:
                    await self._look(watch)
                    part.running()
                    await asyncio.sleep(constants.SCRIPTS_SEEN_EVERY_S)
        finally:
            await watch.close()

    async def _look(self, watch: ScriptWatch) -> None:
        if self._embedded is not None:
            self._embedded.trim_log("redis")
        try:
            is_stopped = await watch.is_stopped()
        except Silent:
            if (
                self._computing_s() - self._computed_s < constants.SCRIPT_SILENT_COMPUTING_S
                or await self._answers_anew()
            ):
                raise
            await self._end_server("it computes and does not answer")
            return
        self._computed_s = self._computing_s()
        if is_stopped:
            await self._end_script(watch)
        else:
            self._is_told = False

    async def _answers_anew(self) -> bool:
        """On another connection: it may have been this process that stood still, or the one before."""
        watch = ScriptWatch(self._url, constants.SCRIPT_ASKED_AGAIN_WITHIN_S)
        try:
            await watch.is_stopped()
        except (RedisError, OSError):
            return False
        finally:
            await watch.close()
        return True

    def _computing_s(self) -> float:
        """How long the embedded server has computed, which waiting for a disk or its turn is not; 0 if that isn't
        known."""
        return (self._embedded.cpu_seconds("redis") if self._embedded else None) or 0.0

    async def _end_script(self, watch: ScriptWatch) -> None:
        if self._may_end() and time.monotonic() < self._named_by_end_until:
            await self._end_server("nobody was found who had run another one")
            return
        outcome = await watch.kill()
        if outcome is Ended.UNKILLABLE:
            await self._end_server("it has written and cannot be killed")
        elif outcome is Ended.KILLED:
            if await self._answers(watch):
                await self._settle(await watch.find_user(), restarted=False)
            elif self._embedded is not None:
                await self._end_server("one such script comes after the other")

    async def _answers(self, watch: ScriptWatch) -> bool:
        """Whether it does so now that a script was killed; if not, the next one has had its turn."""
        until = time.monotonic() + constants.SCRIPT_KILLED_WITHIN_S
        while await watch.is_stopped():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(constants.SCRIPT_ENDS_EVERY_S)
        return True

    def _may_end(self) -> bool:
        """Not again at once after an end for somebody unknown: there might be no end to it."""
        return self._restarts is not None and self._restarts.is_due

    async def _end_server(self, reason: str) -> None:
        """The guardian starts it again."""
        report = None
        if self._restarts is not None:
            report = await self._restarts.end(f"a script stopped it, and {reason}", reporting=True)
        if self._restarts is None or report is None:
            self._tell_operator(reason)
            return
        try:
            if await self._settle(user_of_report(report), restarted=True):
                self._restarts.forgive()
        finally:
            await self._restarts.embedded.wait_for("redis")
            await self._restore()

    def _tell_operator(self, reason: str) -> None:
        if not self._is_told:
            logger.error("a script stops Valkey or Redis for all: start the server again", reason=reason)
            self._is_told = True

    async def _settle(self, user: str | None, *, restarted: bool) -> bool:
        """False if it is not known whose script it was."""
        sandbox_id = names.sandbox_of_redis_user(user) if user else None
        if sandbox_id is None:
            self._named_by_end_until = time.monotonic() + constants.SCRIPT_UNNAMED_FOR_S
            logger.warning("a script that stopped Valkey or Redis was ended: no known sandbox's", user=user)
            return False
        await self._withdraw(sandbox_id, restarted)
        return True
