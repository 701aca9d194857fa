"""Answers to interactions that pass the relay, told to whoever would otherwise answer in the bot's place.

Over NATS, for the relay may be another process. What is lost there costs a second answer, which Discord refuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg

from bot.stores.nats_client import FAILURES, unavailable, watch_connection
from bot.stores.postgres import Pool, database_id
from bot.supervisor import Part


class Callback(StrEnum):
    """What has become of a bot's answer."""

    SENT = "sent"
    """It is on its way to Discord."""
    TAKEN = "taken"
    REFUSED = "refused"
    """Discord didn't take it, or gave no answer."""


OnCallback = Callable[[UUID, int, Callback], None]
"""Given whose bot answers, and the interaction's id as that bot has it: it may be anybody's."""


class CallbackNotices:
    """What a relay tells of the answers that pass it."""

    def __init__(self, client: Client, database: str) -> None:
        """`database`: whose bots are told, as `database_id` says."""
        self._client, self._subject = client, _subject(database)

    @asynccontextmanager
    async def passing(self, sandbox_id: UUID, interaction_id: int) -> AsyncIterator[Callable[[], None]]:
        """Around the request to Discord. What it gives is to be called if Discord takes the answer."""
        taken: list[bool] = []
        await self._tell(sandbox_id, interaction_id, Callback.SENT)
        try:
            yield lambda: taken.append(True)
        finally:
            await self._tell(sandbox_id, interaction_id, Callback.TAKEN if taken else Callback.REFUSED)

    async def _tell(self, sandbox_id: UUID, interaction_id: int, callback: Callback) -> None:
        with suppress(*FAILURES):
            await self._client.publish(self._subject, f"{sandbox_id} {interaction_id} {callback}".encode())


async def listen(client: Client, pool: Pool, on_callback: OnCallback, part: Part) -> None:
    """As a part, for ever: hear of the answers that pass the relays of this database's bots."""

    async def hear(message: Msg) -> None:
        with suppress(ValueError):  # where workers share the bot's account, one may send anything
            sandbox_id, interaction_id, callback = message.data.decode().split(" ")
            on_callback(UUID(sandbox_id), int(interaction_id), Callback(callback))

    try:
        await client.subscribe(_subject(await database_id(pool)), cb=hear)
    except FAILURES as error:
        raise unavailable(error) from error
    await watch_connection(client, part)


def _subject(database: str) -> str:
    return f"sandbox-bot.relay-callbacks.{database}"
