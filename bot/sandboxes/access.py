"""A sandbox's credentials in all three stores: issued, renewed, cut off; and where a store does not confine them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from loguru import logger

from bot.sandboxes.attendance import a_few_at_once
from bot.sandboxes.model import Sandbox
from bot.sandboxes.tokens import Credentials
from bot.stores.nats_access import Login, NatsAccess
from bot.stores.postgres import Connection, Pool, connected, load_queries, transaction
from bot.stores.redis import RedisStore

_FOLLOWED_WITHIN = timedelta(seconds=15)
_ASSERT_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Whether a store keeps sandboxes apart by itself; if not, the reason, and they are apart by convention."""

    reason: str | None = None

    @property
    def enforced(self) -> bool:
        return self.reason is None

    def __str__(self) -> str:
        return "enforced" if self.reason is None else f"by convention: {self.reason}"


@dataclass(frozen=True, slots=True)
class Isolation:
    """How far each store can be relied on."""

    postgres: Enforcement = Enforcement("not probed")
    redis: Enforcement = Enforcement("not probed")
    nats: Enforcement = Enforcement("not probed")

    def unenforced(self) -> list[str]:
        """What an operator would have to mend, a line for each store."""
        stores = {field.name: getattr(self, field.name) for field in fields(self)}
        return [f"{name} {state}" for name, state in stores.items() if not state.enforced]


class SandboxAccess:
    """Does nothing in a store that does not enforce it."""

    def __init__(self, pool: Pool, redis: RedisStore, *, max_connections: int = 10) -> None:
        self._pool, self._redis, self._max_connections = pool, redis, max_connections
        self._sql = load_queries("access")
        self._nats: NatsAccess | None = None
        self._redis_run: str | None = None
        self._asserted_at = 0.0
        self.isolation = Isolation()

    async def probe(self, nats: NatsAccess | None, nats_address: str, without_nats: str) -> Isolation:
        """Find out what each store enforces. `without_nats` is the reason if there is no `nats` to ask."""
        self._nats = nats
        refused = await nats.probe(nats_address) if nats else without_nats
        self.isolation = Isolation(
            Enforcement(await self._probe_postgres()),
            Enforcement(await self._redis.probe()),
            Enforcement(refused),
        )
        return self.isolation

    async def look_up(self, sandbox_id: UUID) -> Login | None:
        async with connected(self._pool) as connection:
            return await self._look_up(connection, sandbox_id)

    async def create_role(self, connection: Connection, sandbox_id: UUID, expires_at: datetime) -> None:
        """In the transaction that makes the schema. Safe to repeat."""
        if self.isolation.postgres.enforced:
            await connection.execute(self._sql["create_role"], sandbox_id, expires_at, self._max_connections)

    async def grant_schema(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that has made the schema anew."""
        await connection.execute(self._sql["grant_schema"], sandbox_id)

    async def end_sessions(self, connection: Connection, sandbox_id: UUID) -> None:
        """Those that are open now; whoever has credentials may log in again."""
        await connection.execute(self._sql["end_sessions"], sandbox_id)

    async def save(self, connection: Connection, sandbox: Sandbox, credentials: Credentials) -> None:
        """In the transaction that issues them; the old ones are worth nothing from its commit on."""
        verifier, digest = credentials.scram_verifier, credentials.token_sha256
        await self.create_role(connection, sandbox.id, sandbox.expires_at)  # not there if made before it was enforced
        await connection.execute(self._sql["save_credentials"], sandbox.id, verifier, digest)

    async def has_credentials(self, connection: Connection, sandbox_id: UUID) -> bool:
        return bool(await connection.fetchval(self._sql["has_credentials"], sandbox_id))

    async def set_expiry(self, connection: Connection, sandbox_id: UUID, expires_at: datetime) -> None:
        """In the transaction that moves it."""
        await connection.execute(self._sql["set_expiry"], sandbox_id, expires_at)

    async def bar(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that ends the sandbox: no new login from its commit on."""
        await connection.execute(self._sql["cut_role"], sandbox_id)
        await connection.execute(self._sql["forget_credentials"], sandbox_id)

    async def drop_role(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that has dropped the schema."""
        await connection.execute(self._sql["drop_role"], sandbox_id)

    async def cut(self, sandbox_id: UUID) -> None:
        """End the live connections in every store, and Redis logins with them.

        If a store is away, `ServiceUnavailable` when the others are done.
        """
        steps = [self._end_sessions(sandbox_id)]
        if self.isolation.redis.enforced:
            steps.append(self._redis.delete_user(sandbox_id))
        if self._nats is not None:
            steps.append(self._nats.disconnect_until_none_left(sandbox_id))
        for outcome in await asyncio.gather(*steps, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def note_change(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that changes who may connect: `follow` comes after its commit, or else `keep`."""
        await connection.execute(self._sql["note_change"], sandbox_id)

    async def admit(self, sandbox_id: UUID, login: Login | None) -> None:
        """Redis has the user that PostgreSQL knows of, also if that changes meanwhile: whoever looks last is right.

        After first credentials this is all there is to follow, and `keep` does it if nobody else does.
        """
        while True:
            await self._set_user(sandbox_id, login)
            seen, login = login, await self.look_up(sandbox_id)
            if login == seen:
                return

    async def follow(self, sandbox_id: UUID, *, cut: bool = True) -> None:
        """Bring live connections and Redis's user in line with what is committed.

        Without `cut` they go on, and those to NATS take up the new expiry.
        """
        async with connected(self._pool) as connection:
            changed_at = await connection.fetchval(self._sql["get_change"], sandbox_id)
            login = await self._look_up(connection, sandbox_id)
        if cut:
            await self.cut(sandbox_id)
        await self._set_user(sandbox_id, login)
        if self._nats is not None and not cut:
            await self._nats.disconnect(sandbox_id)
        if not await self._value("note_followed", sandbox_id, changed_at):
            await self.admit(sandbox_id, await self.look_up(sandbox_id))

    async def keep(self, longest_transaction: timedelta) -> None:
        """Now and then: end overlong and barred sessions, follow what was not followed, assert Redis's users.

        If a store is away, `ServiceUnavailable` when the others have been looked after.
        """
        outcomes = await asyncio.gather(
            self._end_wrong_sessions(longest_transaction),
            self._follow_all(),
            self._assert_users(),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _end_wrong_sessions(self, longest_transaction: timedelta) -> None:
        if ended := await self._value("end_overlong", longest_transaction):
            logger.warning("overlong transactions of sandboxes ended", sessions=ended)
        await self._value("end_barred")

    async def _follow_all(self) -> None:
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["list_unfollowed"], _FOLLOWED_WITHIN)
        for outcome in await a_few_at_once([row["id"] for row in rows], self.follow):
            if outcome is not None:
                raise outcome

    async def _set_user(self, sandbox_id: UUID, login: Login | None) -> None:
        if not self.isolation.redis.enforced:
            return
        if login is None:
            await self._redis.delete_user(sandbox_id)
        else:
            await self._redis.set_user(sandbox_id, login.token_sha256)

    async def _look_up(self, connection: Connection, sandbox_id: UUID) -> Login | None:
        row = await connection.fetchrow(self._sql["get_login"], sandbox_id)
        return Login(row["token_sha256"], row["expires_at"]) if row else None

    async def _end_sessions(self, sandbox_id: UUID) -> None:
        await self._value("end_sessions", sandbox_id)

    async def _assert_users(self) -> None:
        """Redis has the users of running sandboxes, and none of those that this database knows to be over.

        All of them after a restart, for it forgets its users; now and then those that are missing or too many.
        """
        if not self.isolation.redis.enforced:
            return
        restarted = (run := await self._redis.run_id()) != self._redis_run
        if not restarted and time.monotonic() < self._asserted_at + _ASSERT_EVERY_S:
            return
        users = await self._redis.list_users()
        async with transaction(self._pool) as connection:
            logins = {row["id"] for row in await connection.fetch(self._sql["list_logins"])}
            over = {row["id"] for row in await connection.fetch(self._sql["list_over"], list(users - logins))}
        for sandbox_id in over | (logins if restarted else logins - users):
            await self.admit(sandbox_id, await self.look_up(sandbox_id))
        self._redis_run, self._asserted_at = run, time.monotonic()
        logger.debug("Redis users asserted", users=len(logins), over=len(over))

    async def _value(self, query: str, *arguments: object) -> Any:
        async with connected(self._pool) as connection:
            return await connection.fetchval(self._sql[query], *arguments)

    async def _probe_postgres(self) -> str | None:
        async with transaction(self._pool) as connection:
            found = await connection.fetchrow(self._sql["probe"])
            assert found is not None
            may_connect = found["has_group"] and await connection.fetchval(self._sql["group_may_connect"])
        missing = {
            "the bot's role may not create roles": found["may_create_roles"],
            "the role sandbox_worker is missing": found["has_group"],
            "the bot's role may not grant sandbox_worker": found["may_grant_group"],
            "sandbox_worker may not connect to the database": may_connect,
            "everybody may use the schema public": not found["public_is_open"],
        }
        reasons = [reason for reason, fine in missing.items() if not fine]
        return f"{reasons[0]} (see sql/bootstrap.sql)" if reasons else None
