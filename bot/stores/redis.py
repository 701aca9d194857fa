"""Valkey or Redis: the sandboxes' own keys. Losing it loses no fact of ours."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import batched
from typing import cast
from uuid import UUID

import redis.asyncio
from loguru import logger
from redis.exceptions import ResponseError

from bot import constants, names, request
from bot.errors import ServiceUnavailable
from bot.i18n import Translatable
from bot.stores import redis_acl
from bot.stores.failures import asking_redis
from bot.stores.redis_databases import NO_DATABASES, Databases
from bot.stores.redis_flaws import SETTINGS, Server

_ANY_KEY = "sandbox:*"
_PREFIX_LENGTH = len(names.redis_prefix(UUID(int=0)))
_PROBE = "sandbox-probe"
_ANY_PROBE = re.compile(_PROBE + r"(-[0-9a-f]{16})?")
_REFUSALS_KEPT = "acllog-max-len"


class RedisStore:
    """What the control plane asks of Redis; `ServiceUnavailable` from any method that gets no answer."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        configures: bool = True,
        databases: range | None = None,
        scripts: bool | None = False,
    ) -> None:
        """Unless it `configures`, the server's settings are left as they are. `databases`: those that sandboxes may
        have. `scripts`: whether they may run some from Redis 7 on; None: unless the server falls to them."""
        self.client, self._configures, self._scripts = client, configures, scripts
        self._numbers, self._databases = databases, Databases(client)
        self._server: Server | None = None
        self._run_id = ""

    async def ping(self) -> None:
        """Return when the server has answered."""
        with _asking():
            await self.client.ping()

    async def probe(self, *, trial: bool = True) -> str | None:
        """Why a sandbox's user would not be confined here; None if it would be, by a server that has no `weakness`.

        The `trial` makes such a user, who may not log in, and deletes them; without it nothing is written.
        """
        with _asking():
            try:
                if "nopass" in str(await self.client.acl_getuser("default")):
                    return Translatable("anybody may connect: the user “default” has no password")
                if trial:
                    await self._try_user((await self._inspect()).withdrawn)
            except ResponseError as error:
                return f"no rights to manage users: {error}"
        return None

    async def _try_user(self, withdrawn: Iterable[str]) -> None:
        """Under a name that nobody has, and off: it never is a login."""
        try:
            await self._acl_setuser(f"{_PROBE}-{secrets.token_hex(8)}", "reset", *redis_acl.BY_PREFIX, *withdrawn)
        finally:
            # With those of processes that were killed; one that another process has made just now has been tried.
            users = map(_text, await self.client.acl_users())
            if left := [user for user in users if _ANY_PROBE.fullmatch(user)]:
                await self.client.acl_deluser(*left)

    async def may_configure(self) -> bool:
        """Whether CONFIG is allowed, tried by a setting that stays as it is."""
        with _asking():
            try:
                told = await self._read_settings(_REFUSALS_KEPT)
                await self.client.config_set(_REFUSALS_KEPT, told.get(_REFUSALS_KEPT, "unknown"))
            except ResponseError:
                return False
        return True

    async def weakness(self) -> str | None:
        """What a confined user can break out by; None if nothing is known."""
        with _asking():
            server = await self._inspect()
            return server.weakness_with_scripts if self._scripts else server.weakness

    async def keeps_refusals(self) -> bool:
        """Whether refused commands fill its ACL log, up to gigabytes: the bot may not turn that off, and nobody has."""
        with _asking():
            return (await self._read_settings(_REFUSALS_KEPT)).get(_REFUSALS_KEPT, "0") != "0"

    async def describe_server(self) -> str:
        """Its own name and version: `Valkey 9.1.2`, `Redis 7.0.15`."""
        with _asking():
            server = await self._inspect()
        return f"{server.product} {server.version}"

    async def run_id(self) -> str:
        """Another one after every start of the server, which forgets its users."""
        with _asking():
            await self._inspect()
        return self._run_id

    async def _inspect(self) -> Server:
        """Asked each time, for it may be another one after a restart. One that is new is made to log no refusals.
        `ServiceUnavailable` for a replica, which takes users as a master does, and keeps them to itself."""
        async with self.client.pipeline(transaction=False) as pipe:
            pipe.info("server")
            pipe.info("replication")
            told, replication = await pipe.execute()
        if replication.get("role") == "slave":
            raise ServiceUnavailable("Redis", "it is a replica; REDIS_URL has to lead to the master")
        if self._server is None or told["run_id"] != self._run_id:
            product = "Valkey" if "valkey_version" in told else "Redis"
            version = str(told["valkey_version" if product == "Valkey" else "redis_version"])
            self._server = Server(product, version, await self._read_settings(*SETTINGS))
            if self._configures:
                with suppress(ResponseError):  # `check` tells of it
                    await self.client.config_set(_REFUSALS_KEPT, 0)
            self._run_id = str(told["run_id"])
        return self._server

    async def _read_settings(self, *wanted: str) -> dict[str, str]:
        """Without those that the server does not know; with `unknown` for all if the bot may not ask."""
        try:
            told = [await self.client.config_get(name) for name in wanted]
        except ResponseError:
            return dict.fromkeys(wanted, "unknown")
        return {_text(name): _text(value) for each in told for name, value in cast("dict[str, str]", each).items()}

    async def find_databases(self, *, trial: bool = True) -> tuple[range, str | None]:
        """Those that new sandboxes may have, empty with the reason if there are none. Without a `trial`, which makes a
        user and deletes them at once, that isn't known."""
        if not self._numbers:
            return NO_DATABASES, Translatable("no databases are the bot's ([redis] databases)")
        if not trial:
            return NO_DATABASES, Translatable("not known without a trial")
        with _asking():
            hindrance = await self._databases.find_hindrance(self._numbers)
        return (self._numbers, None) if hindrance is None else (NO_DATABASES, hindrance)

    async def set_user(
        self, sandbox_id: UUID, token_sha256: str, *, database: int | None = None, scripts: bool = True
    ) -> None:
        """Lets the token in, to the sandbox's keys and channels alone, or with any key into a `database` of its own,
        which is its by the registry. Live connections go on. `scripts`: as far as it may run any at all."""
        prefix = names.redis_prefix(sandbox_id)
        with _asking():
            server = self._server or await self._inspect()  # after a restart all are set again
            if database is None:
                rules = redis_acl.by_prefix(prefix, self._databases.own) + server.withdrawn
            else:
                rules = redis_acl.of_a_database(database, prefix) + server.withdrawn_in_databases
            if scripts and self._grants_scripts(server):
                rules += redis_acl.SCRIPTS
            await self._acl_setuser(names.redis_user(sandbox_id), "reset", "on", f"#{token_sha256}", *rules)

    def _grants_scripts(self, server: Server) -> bool:
        chosen = server.script_weakness is None if self._scripts is None else self._scripts
        return chosen and server.keeps_scripts_apart

    async def claim_database(self, number: int, sandbox_id: UUID) -> bool:
        """Before each grant. False if there is something in it that isn't the sandbox's."""
        with _asking():
            return await self._databases.claim(number, sandbox_id)

    async def empty_database(self, number: int, sandbox_id: UUID, *, release: bool = False) -> int:
        """Delete what the sandbox has in it, and with `release` let others have it. How many keys that were; what is
        not registered as the sandbox's is left alone."""
        with _asking():
            keys = await self._databases.empty(number, sandbox_id, release=release)
        if keys is None:
            logger.debug("a database is not the sandbox's by the registry", database=number, sandbox=str(sandbox_id))
        return keys or 0

    async def list_databases(self) -> tuple[dict[int, UUID], dict[int, int]]:
        """The registry's sandboxes by number, and how many keys there are in each database that has some."""
        with _asking():
            return await self._databases.list_registered(), await self._databases.list_filled()

    async def list_users(self) -> set[UUID]:
        """The sandboxes that have a user."""
        with _asking():
            users = await self.client.acl_users()
        return {sandbox_id for user in users if (sandbox_id := names.sandbox_of_redis_user(_text(user)))}

    async def read_tokens(self, sandbox_ids: Sequence[UUID]) -> dict[UUID, frozenset[str]]:
        """By which SHA-256 of a token those of the sandboxes' users are let in that there are."""
        with _asking():
            async with self.client.pipeline(transaction=False) as pipe:
                for sandbox_id in sandbox_ids:
                    pipe.acl_getuser(names.redis_user(sandbox_id))
                told = await pipe.execute()
        users = zip(sandbox_ids, told, strict=True)
        return {sandbox_id: frozenset(user["passwords"]) for sandbox_id, user in users if user and user["enabled"]}

    async def delete_user(self, sandbox_id: UUID) -> None:
        """Ends its connections too."""
        with _asking():
            await self.client.acl_deluser(names.redis_user(sandbox_id))

    async def delete_keys(self, *sandbox_ids: UUID) -> int:
        """Unlink every key of the sandboxes, in batches, and return how many there were.

        Redis is gone through once, however many sandboxes there are.
        """
        pattern = names.redis_prefix(sandbox_ids[0]) + "*" if len(sandbox_ids) == 1 else _ANY_KEY
        deleted, wanted = 0, set(sandbox_ids)
        async for page in self.pages(pattern):
            deleted += await self.unlink([key for owner in page.keys() & wanted for key in page[owner]])
        return deleted

    async def count_keys(self, sandbox_id: UUID, *, database: int | None = None) -> int:
        """The sandbox's own; without a `database` of its own this goes through all keys of the server."""
        if database is not None:
            with _asking():
                return await self._databases.count_keys(database)
        pages = self.pages(names.redis_prefix(sandbox_id) + "*")
        return sum([len(keys) async for page in pages for keys in page.values()])

    async def pages(self, pattern: str = _ANY_KEY) -> AsyncIterator[dict[UUID, list[bytes]]]:
        """All keys of sandboxes, in one pass over Redis, page by page. A key may come twice."""
        cursor, owners = 0, _Owners()
        while True:
            with _asking():
                cursor, keys = await self.client.scan(cursor, match=pattern, count=constants.REDIS_KEYS_AT_A_TIME)
            yield owners.group(cast("list[bytes]", keys))
            if cursor == 0:
                return

    async def unlink(self, keys: Sequence[bytes]) -> int:
        """How many there were."""
        with _asking():
            return sum([await self.client.unlink(*batch) for batch in batched(keys, constants.REDIS_KEYS_AT_A_TIME)])

    async def _acl_setuser(self, user: str, *rules: str) -> None:
        await self.client.execute_command("ACL", "SETUSER", user, *rules)  # type: ignore[no-untyped-call]


class _Owners:
    """Whose a key is. Remembers the prefixes that it has read, for there are few among many keys."""

    def __init__(self) -> None:
        self._known: dict[bytes, UUID | None] = {}

    def group(self, keys: Iterable[bytes]) -> dict[UUID, list[bytes]]:
        """What is no sandbox's is left out."""
        grouped: dict[UUID, list[bytes]] = {}
        for key in keys:
            if (owner := self._of(key[:_PREFIX_LENGTH])) is not None:
                grouped.setdefault(owner, []).append(key)
        return grouped

    def _of(self, prefix: bytes) -> UUID | None:
        if prefix not in self._known:
            self._known[prefix] = names.sandbox_of_redis_prefix(prefix.decode(errors="replace"))
        return self._known[prefix]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def _asking() -> Iterator[None]:
    with asking_redis(), request.waiting_for("Redis"):
        yield
