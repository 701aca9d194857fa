"""“Request guild members” (op 8), answered by Discord's HTTP API: the bot's own gateway session is everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from loguru import logger

from bot import constants
from bot.concurrency import gather_bounded
from bot.relay.fairness import TooManyRequests
from bot.relay.gateway import intents
from bot.relay.gateway.connection import Connection
from bot.relay.gateway.delivery import Delivery
from bot.relay.gateway.numbering import dispatch
from bot.relay.gateway.sessions import Session
from bot.relay.upstream import DiscordAway, Refused, Upstream

_CHUNK = 1000
_MOST_USERS = 100

Member = dict[str, Any]
Get = Callable[..., Awaitable[Any]]


class MemberRequests:
    """Answers in chunks of 1,000. The same list is asked for once, whoever asks for it meanwhile."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._lists: dict[int, asyncio.Task[list[Member]]] = {}

    def answer(self, delivery: Delivery, request: dict[str, Any], connection: Connection) -> None:
        """Of a guild that the client has; as Discord, it says nothing to a request that it can't grant."""
        try:
            guild_id = int(request["guild_id"])
        except (KeyError, TypeError, ValueError):
            return
        if guild_id in delivery.guilds:
            task = asyncio.create_task(self._answer(guild_id, delivery, request, connection))
            delivery.answers.add(task)
            task.add_done_callback(delivery.answers.discard)

    async def _answer(self, guild_id: int, delivery: Delivery, request: dict[str, Any], connection: Connection) -> None:
        try:
            members, missing = await self._find(guild_id, request, delivery.session)
        except (DiscordAway, Refused, TooManyRequests) as error:
            logger.warning("members cannot be listed", guild=guild_id, error=str(error))
            return
        chunks = [members[start : start + _CHUNK] for start in range(0, len(members), _CHUNK)] or [[]]
        for index, chunk in enumerate(chunks):
            data = {"guild_id": str(guild_id), "members": chunk, "chunk_index": index, "chunk_count": len(chunks)}
            data |= {"not_found": missing} if missing else {}
            data |= {"presences": []} if request.get("presences") else {}
            data |= {"nonce": request["nonce"]} if request.get("nonce") else {}
            connection.send([dispatch("GUILD_MEMBERS_CHUNK", delivery.number, data)])

    async def _find(self, guild_id: int, request: dict[str, Any], session: Session) -> tuple[list[Member], list[str]]:
        """The members, and the ids of those that aren't."""
        get = partial(self._upstream.get, sandbox_id=session.sandbox_id)
        if "user_ids" in request:
            asked = request["user_ids"]
            return await self._find_users(get, guild_id, asked if isinstance(asked, list) else [asked])
        query, limit = str(request.get("query") or ""), _limit(request.get("limit"))
        if query:
            parameters = urlencode({"query": query, "limit": min(limit or _CHUNK, _CHUNK)})
            return await get(f"/guilds/{guild_id}/members/search", parameters), []
        if not session.intents & intents.GUILD_MEMBERS:
            return [], []
        members = await self._list(get, guild_id)
        return members[: limit or None], []

    async def _find_users(self, get: Get, guild_id: int, user_ids: list[Any]) -> tuple[list[Member], list[str]]:
        asked = [str(user_id) for user_id in user_ids if str(user_id).isdecimal()][:_MOST_USERS]

        async def find(user_id: str) -> Member | None:
            try:
                found: Member = await get(f"/guilds/{guild_id}/members/{user_id}")
            except Refused:
                return None
            return found

        found = await gather_bounded(asked, find, limit=constants.RELAY_GUILDS_AT_ONCE)
        for outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome
        missing = [user_id for user_id, member in zip(asked, found, strict=True) if member is None]
        return [member for member in found if isinstance(member, dict)], missing

    async def _list(self, get: Get, guild_id: int) -> list[Member]:
        if guild_id not in self._lists:
            listing = self._lists[guild_id] = asyncio.create_task(self._read_list(get, guild_id))
            listing.add_done_callback(lambda _: self._lists.pop(guild_id, None))
        return await asyncio.shield(self._lists[guild_id])

    async def _read_list(self, get: Get, guild_id: int) -> list[Member]:
        return [member async for page in self._pages(get, guild_id) for member in page]

    async def _pages(self, get: Get, guild_id: int) -> AsyncIterator[list[Member]]:
        after = "0"
        while True:
            page = await get(f"/guilds/{guild_id}/members", f"limit={_CHUNK}&after={after}")
            yield page
            if len(page) < _CHUNK:
                return
            after = page[-1]["user"]["id"]


def _limit(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
