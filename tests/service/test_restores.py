"""A PostgreSQL that was restored from a backup is noticed, hands nothing out, and is settled by one command."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest

from bot import constants
from bot.control_plane import make_restore_settlement, make_restore_watch, open_control_plane, serve_workers
from bot.errors import RestoreUnsettled
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import OPERATOR
from bot.sandboxes.restores.comparison import MismatchKind
from bot.sandboxes.restores.settlement import RestoreSettlement
from bot.sandboxes.restores.watch import RestoreWatch
from bot.settings import Settings
from bot.stores.opening import open_stores
from bot.stores.postgres import Pool
from bot.supervisor import Supervisor
from tests.conftest import _as_superuser, address, store_settings
from tests.service.conftest import ADA, new_guild

ROLES_AS_IN_THE_BACKUP = """
SELECT set_sandbox_role_password(sandbox_id, scram_verifier) FROM sandbox_credentials
"""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(constants, "RESTORES_LAG_S", 0.0)


@dataclass
class Bot:
    """A manager that answers workers, with what watches over restores and settles them."""

    manager: SandboxManager
    watch: RestoreWatch
    settlement: RestoreSettlement
    pool: Pool


class Installation:
    """Bots of one installation, one after the other or beside each other, whose database is backed up and restored."""

    def __init__(self, stores, dsn):
        self.stores, self.dsn = stores, dsn
        self.name = dsn.rpartition("/")[2].partition("?")[0]
        self.backup_name = f"backup_{uuid.uuid4().hex[:12]}"

    @asynccontextmanager
    async def bot(self):
        settings = Settings(**store_settings(self.stores, self.dsn))
        async with (
            open_stores(settings) as opened,
            Supervisor() as supervisor,
            open_control_plane(settings, opened, supervisor=supervisor) as manager,
            serve_workers(opened, manager, supervisor),
        ):
            watch = make_restore_watch(settings, opened, manager.access)
            yield Bot(manager, watch, make_restore_settlement(settings, opened, manager.access), opened.pool)

    async def back_up(self):
        await _as_superuser(
            self.stores, f"CREATE DATABASE {self.backup_name} TEMPLATE {self.name} OWNER sandbox_bot STRATEGY file_copy"
        )

    async def restore(self):
        await _as_superuser(
            self.stores,
            f"DROP DATABASE {self.name} WITH (FORCE)",
            f"ALTER DATABASE {self.backup_name} RENAME TO {self.name}",
            f"REVOKE ALL ON DATABASE {self.name} FROM PUBLIC",
            f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {self.name} TO sandbox_worker",
        )
        connection = await asyncpg.connect(address(self.stores, self.name))
        await connection.execute("SET search_path = sandbox_control")
        await connection.execute(ROLES_AS_IN_THE_BACKUP)
        await connection.close()

    async def lets_in(self, details):
        try:
            await (await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"])).close()
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError):
            return False
        return True


@pytest.fixture
def installation(stores, dsn, nats_client, redis_client):
    return Installation(stores, dsn)


async def confirm(bot):
    """As time does: the other stores know of the last change."""
    assert not await bot.watch.look()
    assert not await bot.watch.look()


async def kinds(bot):
    comparison = bot.watch._comparison
    return {(found.name, found.kind) for found in await comparison.find(await comparison.read_known())}


async def test_after_a_restore_nothing_is_handed_out_and_no_revoked_token_lets_in_until_it_is_settled(
    installation, redis_client
):
    async with installation.bot() as bot:
        kept, rotated = [await bot.manager.create(ADA, name=name) for name in ("kept", "rotated")]
        of_kept = await bot.manager.issue_credentials(ADA, kept.id)
        revoked = await bot.manager.issue_credentials(ADA, rotated.id)
    await installation.back_up()
    async with installation.bot() as bot:
        of_rotated = await bot.manager.issue_credentials(ADA, rotated.id, rotate=True)
        since = await bot.manager.create(ADA, name="since", guild_ids=[new_guild()])
        await bot.manager.issue_credentials(ADA, since.id)
        await confirm(bot)
        assert await installation.lets_in(of_rotated)
    await installation.restore()

    async with installation.bot() as bot:
        assert await bot.watch.look()
        assert await kinds(bot) == {("rotated", MismatchKind.CREDENTIALS)}
        for refused in (bot.manager.create(ADA), bot.manager.issue_credentials(ADA, kept.id, rotate=True)):
            with pytest.raises(RestoreUnsettled):
                await refused
        await bot.manager.access.reconcile(timedelta(minutes=1))
        await bot.manager.stream_reconciler.reconcile()
        assert not await installation.lets_in(revoked)
        assert await installation.lets_in(of_kept)
        assert set(await bot.manager.access.logins.list_all()) == {kept.id}
        assert await bot.manager.access.logins.look_up(rotated.id) is None
        assert f"sandbox-{since.id}" in await redis_client.acl_users()

        assert await bot.settlement.settle(OPERATOR) == (True, 1)
        assert not await bot.watch.look()
        assert await installation.lets_in(of_kept)
        assert not await installation.lets_in(revoked)
        assert await installation.lets_in(await bot.manager.issue_credentials(ADA, rotated.id, rotate=True))
        await bot.manager.stream_reconciler.reconcile()
        assert await kinds(bot) == set()
        await confirm(bot)
        await bot.manager.create(ADA)
