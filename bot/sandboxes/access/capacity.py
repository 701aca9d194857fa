"""How many sandboxes PostgreSQL has connections for, beside the bots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bot import constants
from bot.findings import Finding, warning
from bot.i18n import gettext
from bot.settings import Settings
from bot.stores.postgres import Pool, connected, load_queries


@dataclass(frozen=True, slots=True)
class ConnectionCapacity:
    """The server's connections in all, those kept for superusers and those for bots (0 where this bot's role may not
    use them), what the bots may open, how many sandboxes live, how many one developer may have, and what each may open.
    """

    total: int
    for_superusers: int
    for_bots: int
    opened_by_bots: int
    living: int
    quota: int
    per_sandbox: int

    @property
    def for_sandboxes(self) -> int:
        """Connections that are nobody else's."""
        return max(self.total - self.for_superusers - (self.for_bots or self.opened_by_bots), 0)

    @property
    def fact(self) -> str:
        """A line for people."""
        return gettext(
            "PostgreSQL has {total} connections: room for {room} sandboxes with {each} each.",
            total=self.total,
            room=self.for_sandboxes // self.per_sandbox,
            each=self.per_sandbox,
        )

    def warnings(self) -> Iterator[Finding]:
        """What does not fit, with the numbers and what would."""
        possible = self.living + self.quota
        if possible * self.per_sandbox > self.for_sandboxes:
            yield warning(
                gettext(
                    "{living} sandboxes live and one developer may have {quota}, with {each} connections each, and "
                    "{free} of {total} are for sandboxes.",
                    living=self.living,
                    quota=self.quota,
                    each=self.per_sandbox,
                    free=self.for_sandboxes,
                    total=self.total,
                ),
                gettext(
                    "Set max_connections to at least {wanted}, or isolation.max_connections to at most {most}.",
                    wanted=self.total - self.for_sandboxes + possible * self.per_sandbox,
                    most=max(self.for_sandboxes // possible, 1),
                ),
            )
        if 0 < self.for_bots < self.opened_by_bots:
            yield warning(
                gettext(
                    "reserved_connections is {kept}, and the bots may open {opened} by postgres.pool_size.",
                    kept=self.for_bots,
                    opened=self.opened_by_bots,
                ),
                gettext("Set reserved_connections to at least {opened}.", opened=self.opened_by_bots),
            )


async def read_capacity(pool: Pool, settings: Settings, bots: int) -> ConnectionCapacity:
    """Of a migrated database, with so many bots that run or are to run."""
    async with connected(pool) as connection:
        found = await connection.fetchrow(load_queries("access")["connections"])
    assert found is not None
    return ConnectionCapacity(
        **found,
        opened_by_bots=bots * (settings.postgres.pool_size + constants.POSTGRES_BESIDE_POOL),
        quota=settings.sandboxes.max_per_owner,
        per_sandbox=settings.isolation.max_connections,
    )
