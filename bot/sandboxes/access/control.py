"""A sandbox's credentials in all three stores: granted, renewed, revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from loguru import logger

from bot import constants
from bot.concurrency import gather_bounded, raise_first
from bot.sandboxes.access.databases import SandboxDatabases
from bot.sandboxes.access.isolation import Enforcement, Isolation, probe_postgres, probe_redis
from bot.sandboxes.access.logins import LoginRecords
from bot.sandboxes.access.retries import AccessRetries
from bot.sandboxes.access.role import RoleUpdater
from bot.sandboxes.access.tokens import Credentials
from bot.sandboxes.model import Sandbox
from bot.sandboxes.restores.gate import RestoreGate
from bot.stores.nats_access import NatsAccess
from bot.stores.nats_logins import Login
from bot.stores.postgres import Connection, Pool, Record, fetch, fetch_value, load_queries
from bot.stores.redis import RedisStore


class SandboxAccess:
    """Who may connect, in all three stores; nothing is done in one that has no logins for them.

    PostgreSQL decides. What changes there is changed by the methods that take a connection, in the caller's
    transaction; after its commit `grant` or `apply` brings the role, live connections and Redis's user in line, and
    `reconcile` does it for whoever died between the two. NATS keeps nothing: its server asks the bot at each login.
    """

    def __init__(self, pool: Pool, redis: RedisStore, *, max_connections: int = 10) -> None:
        """`max_connections` of one sandbox to PostgreSQL."""
        self._pool, self._redis, self._max_connections = pool, redis, max_connections
        self._sql = load_queries("access")
        self._role = RoleUpdater(pool, self._sql)
        self.logins, self.restores = LoginRecords(pool), RestoreGate(pool)
        self.retries = AccessRetries()
        self.databases = SandboxDatabases(pool, redis)
        self._nats: NatsAccess | None = None
        self._redis_run_id: str | None = None
        self._users_checked_at = 0.0  # of time.monotonic()
        self._nats_address, self._without_nats = "", "not probed"
        self._probed: tuple[object, ...] = ()
        self._suspected: Isolation | None = None
        self.isolation = Isolation()

    async def probe(
        self, nats: NatsAccess | None, nats_address: str, without_nats: str, *, trial: bool = True
    ) -> Isolation:
        """Find out what each store enforces. `without_nats` is the reason if there is no `nats` to ask. The `trial` of
        Redis makes a user and deletes them, that of PostgreSQL a role in a transaction that is rolled back."""
        self._nats, self._nats_address, self._without_nats = nats, nats_address, without_nats
        self._probed, self.isolation = await self._servers(), await self._find_isolation(trial=trial)
        return self.isolation

    async def probe_again(self) -> None:
        """If a server has been started anew since: it may be another version, or have other settings.

        What is worse than before is believed when it is found twice in a row: a server that has just been started is
        slow to answer. `ServiceUnavailable` if one is away.
        """
        if not self._probed or (servers := await self._servers()) == self._probed:
            return
        found = await self._find_isolation()
        if found not in (self.isolation, self._suspected):
            self._suspected = found
            return
        self._tell(found)
        self._probed, self.isolation, self._suspected = servers, found, None

    async def _servers(self) -> tuple[object, ...]:
        """Others after one of them was started anew, or another one is asked."""
        reconnects = self._nats.reconnects if self._nats else 0
        return await self._value("server_started_at"), await self._redis.run_id(), reconnects

    async def _find_isolation(self, *, trial: bool = True) -> Isolation:
        refused = await self._nats.probe(self._nats_address) if self._nats else self._without_nats
        postgres, redis = await probe_postgres(self._pool, trial=trial), await self._probe_redis(trial)
        return Isolation(Enforcement(postgres), redis, Enforcement(refused))

    def _tell(self, found: Isolation) -> None:
        before = set(self.isolation.unenforced())
        for line in found.unenforced():
            if line not in before:
                logger.warning("sandboxes are not kept apart by a store any more", store=line)
        if before and not found.unenforced():
            logger.info("sandboxes are kept apart by all stores again")

    async def _probe_redis(self, trial: bool) -> Enforcement:
        found = await probe_redis(self._redis, trial=trial)
        if found.has_logins:
            await self.databases.probe(trial=trial)
        else:
            self.databases.lose(found.reason or "")
        return found

    @property
    def nats(self) -> NatsAccess | None:
        """What answers workers' logins to NATS; None where that asks no bot."""
        return self._nats if self.isolation.nats.enforced else None

    def keeps_out_of_nats(self, sandbox_id: UUID) -> bool:
        """Whether its workers are not let in for a while, for they have flooded NATS."""
        return self._nats is not None and self._nats.floods.bars.holds(sandbox_id)

    async def list_unasked(self) -> list[str]:
        """NATS servers where workers may still be connected whose credentials have ended, by name: they do not answer.
        `ServiceUnavailable` if none does."""
        return await self.nats.connections.servers.list_unasked() if self.nats is not None else []

    async def create_role(self, connection: Connection, sandbox_id: UUID, expires_at: datetime) -> None:
        """In the transaction that makes the schema, before it: what is in it is the role's. Safe to repeat."""
        if self.isolation.postgres.enforced:
            await connection.execute(self._sql["create_role"], sandbox_id, expires_at, self._max_connections)

    async def end_sessions(self, connection: Connection, sandbox_id: UUID) -> None:
        """Those of PostgreSQL that are open now; whoever has credentials may log in again."""
        await connection.execute(self._sql["end_sessions"], sandbox_id)

    async def save(
        self, connection: Connection, sandbox: Sandbox, credentials: Credentials, *, replace: bool = False
    ) -> None:
        """In the transaction that issues them. Those that they `replace` are worth nothing from its commit on, and
        PostgreSQL lets nobody in from there until `apply` has brought the role in line."""
        verifier, digest = credentials.scram_verifier, credentials.token_sha256
        await self.create_role(connection, sandbox.id, sandbox.expires_at)  # not there if made before it was enforced
        query = "replace_credentials" if replace else "save_credentials"
        await connection.execute(self._sql[query], sandbox.id, verifier, digest)

    async def has_credentials(self, connection: Connection, sandbox_id: UUID) -> bool:
        """Whether some were issued and not revoked; expired ones count."""
        return bool(await connection.fetchval(self._sql["has_credentials"], sandbox_id))

    async def note_expiry(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that moves it: `apply` has the role follow."""
        await connection.execute(self._sql["note_role"], sandbox_id)

    async def revoke(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that ends the sandbox: no new login from its commit on, and no credentials. `disconnect`
        comes after it."""
        await connection.execute(self._sql["cut_role"], sandbox_id)

    async def drop_role(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that has dropped the schema."""
        await connection.execute(self._sql["drop_role"], sandbox_id)

    async def mark_changed(self, connection: Connection, sandbox_id: UUID) -> None:
        """In the transaction that changes who may connect: `apply` comes after its commit, or else `reconcile`."""
        await connection.execute(self._sql["mark_changed"], sandbox_id)

    async def disconnect(self, sandbox_id: UUID) -> None:
        """End the live connections in every store, and Redis logins with them, of a sandbox that is revoked.

        If a store is away, `ServiceUnavailable` when the others are done.
        """
        in_nats = [self._nats.disconnect_until_none_left(sandbox_id)] if self._nats is not None else []
        await self._disconnect(sandbox_id, self._value("end_sessions", sandbox_id), *in_nats)

    async def free_role(self, sandbox_id: UUID) -> None:
        """End what may hold the role's row, or what is in its schema: a login that was under way at the revoke, a
        session that has borrowed the role, or another sandbox's that has locked what it may not touch."""
        await self._role.end_borrowing()
        await self._value("end_other_holders", sandbox_id)
        await self._value("end_sessions", sandbox_id)

    async def _disconnect(self, sandbox_id: UUID, *others: Awaitable[object]) -> None:
        in_redis = [self._redis.delete_user(sandbox_id)] if self.isolation.redis.confines else []
        raise_first(await asyncio.gather(*in_redis, *others, return_exceptions=True))

    async def has_connections(self, sandbox_id: UUID) -> bool:
        """Whether NATS has a connection with the sandbox's credentials; False too where it asks no bot for them.

        `ServiceUnavailable` if NATS doesn't tell.
        """
        return self.nats is not None and bool(await self.nats.connections.list_all(sandbox_id))

    async def grant(self, sandbox_id: UUID, login: Login | None) -> None:
        """Redis has the user that PostgreSQL knows of, none for None, also if that changes meanwhile.

        After first credentials this is all there is to apply: there is nobody to disconnect, so the transaction does
        not mark a change. Redis's user is missing if the process dies here, and `reconcile` sets a missing user.
        """
        # Several processes may set the user at once, each by what it read before. Each reads once more after it has
        # written, so the one that writes last finds what was committed before its write, and ends only when the two
        # agree.
        while True:
            await self._set_user(sandbox_id, login)
            seen, login = login, await self.logins.look_up(sandbox_id)
            if login == seen:
                return

    async def grant_anew(self, sandbox_id: UUID) -> None:
        """`grant`, by what is committed now."""
        await self.grant(sandbox_id, await self.logins.look_up(sandbox_id))

    async def apply(self, sandbox_id: UUID, *, disconnect: bool = True) -> None:
        """Bring the role in PostgreSQL, live connections and Redis's user in line with what is committed.

        Without `disconnect` they go on, and those to NATS take up the new expiry. If a store is away,
        `ServiceUnavailable`, and the change stays marked; with it NATS makes up for that itself. May be repeated.
        """
        # The mark before the login: a change between the two is applied here already, and only its mark stays.
        ((changed_at, is_first),) = await fetch(self._pool, self._sql["begin_applying"], sandbox_id, disconnect)
        login = await self.logins.look_up(sandbox_id)
        try:
            if disconnect:
                in_nats = [self._nats.end_replaced(sandbox_id, is_first=is_first)] if self._nats is not None else []
                await self._disconnect(sandbox_id, self._role.update(sandbox_id, end_sessions=True), *in_nats)
            else:
                await self._role.update(sandbox_id, end_sessions=False)
        finally:  # whoever is away meanwhile: the credentials that were handed out are good in Redis
            await self._set_user(sandbox_id, login)
        if self._nats is not None and not disconnect:
            await self._nats.disconnect(sandbox_id)
        # Not marked as applied: it has changed again, and this may have written an older user over a newer one; or it
        # is being taken down, which deletes the user, perhaps before it was set here.
        if not await self._value("mark_applied", sandbox_id, changed_at):
            await self.grant_anew(sandbox_id)

    async def reconcile(self, longest_transaction: timedelta) -> None:
        """One turn over all sandboxes: end PostgreSQL sessions that are overlong or revoked, apply what was not
        applied, have Redis's users be those of running sandboxes, and probe servers that were started anew.

        If a store is away, `ServiceUnavailable` when the others have been looked after.
        """
        raise_first(
            await asyncio.gather(
                self.probe_again(),
                self._end_wrong_sessions(longest_transaction),
                self._apply_unapplied(),
                self.reconcile_users(),
                return_exceptions=True,
            )
        )

    async def _end_wrong_sessions(self, longest_transaction: timedelta) -> None:
        if ended := await self._value("end_overlong_transactions", longest_transaction):
            logger.warning("overlong transactions of sandboxes ended", sessions=ended)
        if dropped := await self._value("drop_strays", constants.STRAYS_AT_A_TIME):
            logger.warning("what workers gave to the group sandbox_worker was dropped", count=dropped)
        await self._role.end_borrowing()
        await self._role.update_held_back()
        await self._role.hand_over_schemas()
        # PostgreSQL checks a login against what it read at its beginning, so that one that was under way at the revoke
        # may come through after it, and sessions outlive an expiry that nobody has marked yet.
        await self._value("end_revoked_sessions")

    async def _apply_unapplied(self) -> None:
        if await self.restores.is_shut():
            return
        since = timedelta(seconds=constants.ACCESS_UNAPPLIED_AFTER_S)
        rows = await fetch(self._pool, self._sql["list_unapplied"], since)
        raise_first(await gather_bounded(rows, self._apply_row, limit=constants.MAX_CONCURRENT_ACCESS_CHANGES))

    async def _apply_row(self, row: Record) -> None:
        if row["is_of_role_alone"]:
            await self._role.update(row["id"], end_sessions=True)
        else:
            await self.apply(row["id"])

    async def reconcile_users(self) -> None:
        """Redis has the users of running sandboxes, and none of those that this database knows to be over.

        All of them after a restart, for it forgets its users; now and then those that are missing or too many.
        """
        if not self.isolation.redis.confines or await self.restores.is_shut():
            return
        restarted = (run_id := await self._redis.run_id()) != self._redis_run_id
        if not restarted and time.monotonic() < self._users_checked_at + constants.REDIS_USERS_CHECKED_EVERY_S:
            return
        users = await self._redis.list_users()
        logins = set(await self.logins.list_all())
        # A user that this database does not know is left alone: it may be another installation's.
        revoked = {row["id"] for row in await fetch(self._pool, self._sql["list_revoked"], list(users - logins))}
        for sandbox_id in revoked | (logins if restarted else logins - users):
            await self.grant_anew(sandbox_id)
        self._redis_run_id, self._users_checked_at = run_id, time.monotonic()
        logger.debug("Redis users reconciled", users=len(logins), revoked=len(revoked))

    async def _set_user(self, sandbox_id: UUID, login: Login | None) -> None:
        if not self.isolation.redis.confines:
            return
        number = login.redis_database if login is not None else None
        if login is None or (number is not None and not await self.databases.claim(number, sandbox_id)):
            await self._redis.delete_user(sandbox_id)
        else:
            digest, scripts = login.token_sha256, login.scripts
            await self._redis.set_user(sandbox_id, digest, database=number, scripts=scripts)

    async def _value(self, query: str, *arguments: object) -> Any:
        return await fetch_value(self._pool, self._sql[query], *arguments)
