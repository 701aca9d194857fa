"""When something last happened in each sandbox, and how many events it was sent: counted by the router, written in
batches, and before somebody reads it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.stores.nats_answers import ask_all
from bot.stores.nats_client import FAILURES, unavailable, watch_connection
from bot.stores.postgres import Pool, connected, database_id, load_queries
from bot.supervisor import Part
from sandbox_worker.text import plain


class ActivityLog:
    """Takes what has been counted by the prefix of the sandboxes' subjects. Any number of processes add up."""

    def __init__(self, pool: Pool, counted: Counter[str], *, trouble: Callable[[], str] = str) -> None:
        """`trouble`: why events are not stored just now, empty if they are."""
        self._pool, self._counted, self._trouble = pool, counted, trouble
        self._sql = load_queries("sandboxes")
        self._turn = asyncio.Lock()
        self._asked_at = float("-inf")  # of time.monotonic()

    async def write(self) -> int:
        """Write what was counted since the last time, one statement for all; returns for how many sandboxes.

        Nothing happened: nothing is written. What could not be written stays counted. Whoever calls it while it is
        being written waits for that.
        """
        async with self._turn:
            counted = dict(self._counted)
            self._counted.clear()
            if counted:
                await self._write(counted)
            return len(counted)

    async def _write(self, counted: dict[str, int]) -> None:
        sandbox_ids = [names.sandbox_of_subject(prefix) for prefix in counted]
        try:
            async with connected(self._pool) as connection:
                await connection.execute(self._sql["add_activity"], sandbox_ids, list(counted.values()))
        except BaseException:
            self._counted.update(counted)
            raise

    async def serve(self, client: Client, part: Part) -> None:
        """As a part: write whenever an `ActivityRefresh` asks for it, one request after the other.

        The subscription ends with the client, so that a stop need not wait for anything.
        """
        try:
            await client.subscribe(await _subject(self._pool), cb=self._answer)
        except FAILURES as error:
            raise unavailable(error) from error
        await watch_connection(client, part)

    async def _answer(self, request: Msg) -> None:
        """At most every so often, others wait: where workers share the bot's account, one may ask without end."""
        with suppress(ServiceUnavailable, nats.errors.Error, OSError):  # then whoever asks cannot read it either
            if self._counted:
                await asyncio.sleep(self._asked_at + constants.ACTIVITY_WRITTEN_AT_MOST_EVERY_S - time.monotonic())
                self._asked_at = time.monotonic()
                await self.write()
            await request.respond(self._trouble().encode())


class ActivityRefresh:
    """Has every bot of this database write down what it has counted, so that all who read next read the same."""

    def __init__(self, client: Client, pool: Pool) -> None:
        self._client, self._pool = client, pool
        self._spared_until = 0.0  # of time.monotonic()

    async def refresh(self) -> str:
        """Return when they have; at once where none runs. A bot that is slow, or behind a NATS that is away, is not
        waited for: its count is some seconds old then. Why one of them cannot have its events stored, by its words;
        empty if none says so."""
        if not self._client.is_connected or time.monotonic() < self._spared_until:
            return ""
        try:
            async with asyncio.timeout(constants.ACTIVITY_ANSWERED_WITHIN_S):
                subject = await _subject(self._pool)
            answers = await ask_all(
                self._client,
                subject,
                first_within_s=constants.ACTIVITY_ANSWERED_WITHIN_S,
                others_within_s=constants.ACTIVITY_OTHERS_WITHIN_S,
                is_last=_says_nobody,
            )
        except (*FAILURES, ServiceUnavailable) as error:
            self._spared_until = time.monotonic() + constants.ACTIVITY_SPARED_S
            logger.debug("the activity may be some seconds old", error=repr(error))
            return ""
        return next(filter(None, map(_text, answers)), "")


def _says_nobody(answer: Msg) -> bool:
    """Whether it is the server's word that nobody listens."""
    return (answer.headers or {}).get("Status") == "503"


def _text(answer: Msg) -> str:
    """Where workers share the bot's account, anybody may send one."""
    return plain(answer.data.decode(errors="replace")[: constants.ERROR_DETAIL_CHARS])


async def _subject(pool: Pool) -> str:
    """Of this database's bots: others may share the NATS."""
    return f"sandbox-bot.activity.{await database_id(pool)}"
