"""Looks whether a script stops the server, ends it, and finds out who ran it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from bot import constants
from bot.stores.redis_client import make_client

_SCRIPTS = (b"EVAL", b"FCALL")
_CLIENT_OF_REPORT = re.compile(r"CLIENT INFO ------\n(?:.*? cmd=(?P<cmd>\S+))?(?:.*? user=(?P<user>\S+))?")


class Ended(StrEnum):
    """What became of a script that was to be ended."""

    KILLED = "killed"
    OVER = "over"
    """It had ended by itself."""
    UNKILLABLE = "unkillable"
    """It has written, and the server can only be ended with it."""


class ScriptWatch:
    """The questions, on a connection that is there before the server is stopped. Errors are redis-py's own."""

    def __init__(self, url: str, within_s: float = constants.SCRIPT_SILENCE_S) -> None:
        """`within_s`: for each answer."""
        self._is_prepared = False
        self._client = make_client(
            url,
            single_connection=True,
            socket_timeout=within_s,
            socket_connect_timeout=within_s,
            retry=None,
            protocol=2,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def is_stopped(self) -> bool:
        """Whether a script has run for as long as the server lets one; redis-py's `TimeoutError` if nothing is said."""
        try:
            await self._client.ping()
            await self._prepare()
        except ResponseError as error:
            if _begins(error, "BUSY"):
                return True
            raise
        return False

    async def _prepare(self) -> None:
        """Have the server name a user in the report of its end."""
        if self._is_prepared:
            return
        try:
            await self._client.config_set("hide-user-data-from-log", "no")
        except ResponseError as error:  # an older server names them anyway; or the bot may not ask
            if _begins(error, "BUSY"):
                raise
        self._is_prepared = True

    async def kill(self) -> Ended:
        try:
            await self._client.script_kill()
        except ResponseError as error:
            if _begins(error, "UNKILLABLE"):
                return Ended.UNKILLABLE
            if _begins(error, "NOTBUSY"):
                return Ended.OVER
            raise
        return Ended.KILLED

    async def find_user(self) -> str | None:
        """Who has run the script that was killed last; None if they have gone, or the bot may not ask."""
        try:
            return await self._find_user()
        except NoPermissionError:
            return None

    async def _find_user(self) -> str | None:
        slow: Sequence[Mapping[str, Any]] = await self._client.slowlog_get(constants.SCRIPT_SLOW_COMMANDS_READ)
        scripts = [entry for entry in slow if entry["command"].upper().startswith(_SCRIPTS)]
        if not scripts:
            return None
        address = max(scripts, key=lambda entry: int(entry["id"])).get("client_address", b"").decode()
        clients: Sequence[Mapping[str, str]] = await self._client.client_list()
        return next((client["user"] for client in clients if client["addr"] == address), None)


def user_of_report(report: str) -> str | None:
    """Who ran the script during which the server was ended, by what it said then; None if that was no script."""
    found = _CLIENT_OF_REPORT.search(report)
    if found is None or not (found["cmd"] or "").startswith(("eval", "fcall")):
        return None
    return found["user"]


def _begins(error: ResponseError, word: str) -> bool:
    return str(error).startswith(word)
