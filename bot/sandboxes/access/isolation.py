"""How far each store keeps sandboxes apart by itself, and what PostgreSQL lacks if it does not."""

from __future__ import annotations

from dataclasses import dataclass, fields
from uuid import uuid4

import asyncpg

from bot import constants, names
from bot.findings import Finding, warning
from bot.i18n import Translatable, gettext
from bot.stores.migrations import trial as rolled_back
from bot.stores.postgres import Connection, Pool, connected, load_queries, transaction
from bot.stores.redis import RedisStore

_SCHEMA_TRIALS = {
    "CREATE SCHEMA {other}": Translatable("sandboxes may make schemas of any name (see sql/bootstrap.sql)"),
    "CREATE SCHEMA {own}_given; ALTER SCHEMA {own}_given OWNER TO sandbox_worker": Translatable(
        "sandboxes may give their schemas away, which then outlive them (see sql/bootstrap.sql)"
    ),
    "CREATE SCHEMA {own}_lent; GRANT USAGE ON SCHEMA {own}_lent TO sandbox_worker": Translatable(
        "sandboxes may let others into their schemas (see sql/bootstrap.sql)"
    ),
}
"""What the guard of `sql/bootstrap.sql` has to refuse, and what it means if it does not."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Whether a store keeps sandboxes apart by itself; if not, the reason, and they are apart by convention."""

    reason: str | None = None
    has_logins: bool = False
    """Whether each sandbox has a login of its own although the store is too weak to be relied on."""

    @property
    def confines(self) -> bool:
        """Whether workers get a login of their sandbox's, to be made, handed out and revoked."""
        return self.enforced or self.has_logins

    @property
    def enforced(self) -> bool:
        """Whether the store refuses a sandbox what is another one's."""
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
        return [f"{name} {state}" for name, state in self._stores().items() if not state.enforced]

    @property
    def confines(self) -> bool:
        """Whether at least one store has logins of the sandboxes' own, so that there are credentials."""
        return any(state.confines for state in self._stores().values())

    def without_logins(self) -> list[str]:
        """The stores among those whose address workers have from elsewhere."""
        return [f"{name} {state}" for name, state in self._stores().items() if not state.confines]

    def _stores(self) -> dict[str, Enforcement]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


async def probe_postgres(pool: Pool, *, trial: bool = True) -> str | None:
    """Why PostgreSQL does not confine a sandbox's role; None if it does. Where sandboxes may make schemas a `trial` has
    a role try what must be refused, and is rolled back."""
    sql = load_queries("access")
    async with transaction(pool) as connection:
        found = await connection.fetchrow(sql["probe"])
        assert found is not None
        may_connect = found["has_group"] and await connection.fetchval(sql["group_may_connect"])
        may_create = found["has_group"] and await connection.fetchval(sql["group_may_create"])
    missing = {
        Translatable("the bot's role may not create roles (see sql/bootstrap.sql)"): found["may_create_roles"],
        Translatable("the role sandbox_worker is missing (see sql/bootstrap.sql)"): found["has_group"],
        Translatable("the bot's role may not grant sandbox_worker (see sql/bootstrap.sql)"): found["may_grant_group"],
        Translatable("sandbox_worker may not connect to the database (see sql/bootstrap.sql)"): may_connect,
        Translatable("everybody may use the schema public (see sql/bootstrap.sql)"): not found["public_is_open"],
        Translatable("everybody may use the schema sandbox_control (see sql/bootstrap.sql)"): (
            not found["control_is_open"]
        ),
        Translatable("sandbox_worker may create schemas and nothing confines it (see sql/bootstrap.sql)"): (
            not may_create or found["has_guard"]
        ),
    }
    reasons = [reason for reason, fine in missing.items() if not fine]
    if not reasons and may_create and trial:
        reasons = await _try_schemas(pool)
    return reasons[0] if reasons else None


async def probe_redis(redis: RedisStore, *, trial: bool = True) -> Enforcement:
    """How far it confines a sandbox's user. The `trial` makes such a user, and deletes them."""
    if refused := await redis.probe(trial=trial):
        return Enforcement(refused)
    return Enforcement(await redis.weakness(), has_logins=True)


async def may_create_schemas(pool: Pool) -> bool:
    """Whether sandboxes may make schemas beside their own. Asked of a server that confines them."""
    async with connected(pool) as connection:
        return bool(await connection.fetchval(load_queries("access")["group_may_create"]))


async def _try_schemas(pool: Pool) -> list[Translatable]:
    """What a role of a sandbox's was not refused."""
    own, other = (names.schema_name(uuid4()) for _ in range(2))
    async with rolled_back(pool) as connection:
        await connection.execute(load_queries("access")["become_trial_role"] % {"role": own})
        return [
            finding
            for statement, finding in _SCHEMA_TRIALS.items()
            if not await _is_refused(connection, statement.format(own=own, other=other))
        ]


async def _is_refused(connection: Connection, statement: str) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def list_postgres_risks(pool: Pool) -> list[Finding]:
    """How one sandbox could keep others out of PostgreSQL by what its server is set to."""
    async with connected(pool) as connection:
        found = await connection.fetchrow(load_queries("access")["limits"])
    assert found is not None
    most = constants.POSTGRES_LOGIN_WARNED_OVER_S
    risks = {
        gettext(
            "authentication_timeout is {seconds} s, over {most} s: silent connections keep slots for so long.",
            seconds=found["login_s"],
            most=most,
        ): found["login_s"] > most,
        gettext("max_prepared_transactions is not 0: their locks stay when a worker's sessions end."): (
            found["prepared"] > 0
        ),
        gettext("No slots are kept for the bot (reserved_connections, from PostgreSQL 16 on)."): (
            not found["reserved"] or not found["may_use_reserved"]
        ),
        gettext("temp_file_limit is not set: one query may fill the disk with what it sorts."): (
            found["temp_kilobytes"] < 0
        ),
    }
    return [warning(risk, gettext("Set it as sql/bootstrap.sql says.")) for risk, there in risks.items() if there]
