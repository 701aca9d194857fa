"""Backups of a PostgreSQL server: its folder put back, and a dump in a new server. Redis and NATS stay as they are."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from bot import constants
from bot.errors import RestoreUnsettled
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.restores.comparison import MismatchKind
from bot.stores.embedded import EmbeddedStores
from bot.stores.embedded.configuration import DATABASE
from bot.stores.embedded.programs import postgres_program
from bot.stores.redis import RedisStore
from tests.service.conftest import ADA
from tests.service.test_orphans import NO_TIME
from tests.service.test_restores import Installation, confirm, kinds

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(constants, "RESTORES_LAG_S", 0.0)


class OwnServer(Installation):
    """Its PostgreSQL is a server of its own, which is backed up by its folder or by a dump."""

    def __init__(self, stores, folder):
        self.stores, self.folder, self.running = stores, folder, None

    async def start(self):
        self.running = EmbeddedStores(self.folder, stores=frozenset({"postgres"}), durable=False)
        await self.running.__aenter__()
        self.dsn = self.running.database_url

    async def stop(self):
        await self.running.__aexit__(None, None, None)

    async def back_up(self):
        await self.stop()
        shutil.copytree(self.folder, f"{self.folder}-backup")
        await self.start()

    async def restore(self):
        await self.stop()
        shutil.rmtree(self.folder)
        shutil.move(f"{self.folder}-backup", self.folder)
        await self.start()

    async def dump(self):
        return await self._program("pg_dumpall", "--dbname", self.running.superuser_url("postgres"))

    async def restore_dump(self, dump, *left_out):
        """Into a new server, whose databases have other numbers, and whose own roles keep their passwords."""
        await self.stop()
        self.folder = Path(f"{self.folder}-new")
        await self.start()
        url = self.running.superuser_url("postgres")
        for statement in (f"DROP DATABASE {DATABASE}", "CREATE DATABASE other", "DROP DATABASE other"):
            await self._program("psql", "-X", "-q", "-c", statement, url)
        left_out += (b"ALTER ROLE postgres ", b"ALTER ROLE sandbox_bot ")
        kept = [line for line in dump.splitlines() if not line.startswith(left_out)]
        await self._program("psql", "-X", "-q", url, given=b"\n".join(kept))

    async def _program(self, name, *arguments, given=None):
        command = [str(postgres_program("psql")).replace("psql", name), *arguments]
        password = urlsplit(self.running.superuser_url()).password
        environment = {**os.environ, "PGPASSWORD": password}  # for what pg_dumpall itself starts
        ended: subprocess.CompletedProcess[bytes] = await asyncio.to_thread(
            subprocess.run, command, input=given, env=environment, capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout

    async def lets_in(self, details):
        login, server = urlsplit(details.environment["SANDBOX_DATABASE_URL"]), urlsplit(self.dsn)
        try:
            connection = await asyncpg.connect(
                host=server.hostname or str(self.running.worker_url("postgres")),
                port=server.port,
                user=login.username,
                password=login.password,
                database=login.path[1:],
            )
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError):
            return False
        await connection.close()
        return True

    async def command(self, *arguments):
        callout = self.stores.nats_callout
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DATABASE_URL": self.dsn,
            "REDIS_URL": self.stores.redis_url,
            "NATS_URL": self.stores.nats_url,
            "NATS_AUTH_URL": callout.auth_url,
            "NATS_SYSTEM_URL": callout.system_url,
            "NATS_ACCOUNT_SEED": callout.account_seed,
        }
        bot = [sys.executable, "-m", "bot", *arguments, "--json"]
        ended = await asyncio.to_thread(
            subprocess.run, bot, env=environment, cwd=self.folder.parent, capture_output=True, text=True, check=False
        )
        return json.loads(ended.stdout), ended.returncode


@pytest.fixture
async def server(stores, tmp_path, nats_client, redis_client):
    server = OwnServer(stores, tmp_path / "server")
    await server.start()
    yield server
    await server.stop()


async def make_and_change(server, back_up):
    """What was handed out before the backup, and changed after it; which is made in between."""
    async with server.bot() as bot:
        made = {name: await bot.manager.create(ADA, name=name) for name in ("kept", "rotated", "gone")}
        tokens = {name: await bot.manager.issue_credentials(ADA, each.id) for name, each in made.items()}
        await confirm(bot)
    backup = await back_up()
    async with server.bot() as bot:
        await bot.manager.issue_credentials(ADA, made["rotated"].id, rotate=True)
        await bot.manager.destroy(ADA, made["gone"].id)
        since = await bot.manager.create(ADA, name="since")
        await bot.manager.issue_credentials(ADA, since.id)
        await confirm(bot)
    return backup, made, tokens, since


async def test_a_folder_that_is_put_back_is_noticed_listed_and_settled(server):
    _, made, tokens, since = await make_and_change(server, server.back_up)
    await server.restore()
    async with server.bot():
        pass
    assert [await server.lets_in(tokens[name]) for name in ("kept", "rotated", "gone")] == [True, False, False]

    told, code = await server.command("check", "--restore")
    assert code == 1
    said = {(each["check"], each["level"]): each["message"] for each in told["findings"]}
    assert ("restore.changes", "failure") in said
    listed = [each["message"] for each in told["findings"] if each["check"] == "restore.sandboxes"]
    assert [message.partition(":")[0] for message in listed] == ["“gone”", "“gone”", "“rotated”"]
    assert str(since.id) in said["restore.others", "warning"]

    assert await server.command("settle-restore", "--yes") == ({"was_unsettled": True, "replaced": 2}, 0)
    assert [await server.lets_in(tokens[name]) for name in ("kept", "rotated", "gone")] == [True, False, False]
    async with server.bot() as bot:
        await bot.manager.stream_reconciler.reconcile()
        assert await kinds(bot) == set()
        assert {each.name for each in await bot.manager.list(owner_id=ADA.id)} == set(made)
    assert await server.command("settle-restore", "--yes") == ({"was_unsettled": False, "replaced": 0}, 0)
    assert await server.command("settle-restore", "--yes", "--replace-all") == (
        {"was_unsettled": False, "replaced": 3},
        0,
    )
    assert not await server.lets_in(tokens["kept"])


async def test_a_dump_in_a_new_server_has_the_bots_own_roles(server, redis_client):
    dump, made, tokens, _ = await make_and_change(server, server.dump)
    await server.restore_dump(dump)
    async with server.bot() as bot:
        assert await bot.watch.look()
        assert not await server.lets_in(tokens["rotated"])
        assert await server.lets_in(tokens["kept"])
        await bot.settlement.settle(ADA)
        assert not await server.lets_in(tokens["rotated"])
        await bot.manager.destroy(ADA, made["kept"].id)
        collector = OrphanCollector(
            bot.pool, bot.manager.schemas, RedisStore(redis_client), bot.manager.streams, NO_TIME
        )
        assert {orphan.kind for orphan in await collector.find()} & {"role", "schema"} == set()


async def test_a_dump_without_roles_gets_new_ones(server):
    dump, made, tokens, _ = await make_and_change(server, server.dump)
    roles = [each.schema_name.encode() for each in made.values()]
    of_roles = [b"%s ROLE %s" % (command, role) for command in (b"CREATE", b"ALTER", b"COMMENT ON") for role in roles]
    await server.restore_dump(dump, *of_roles)
    async with server.bot() as bot:
        assert ("kept", MismatchKind.ROLE) in await kinds(bot)
        with pytest.raises(RestoreUnsettled):
            await bot.manager.create(ADA)
        await bot.settlement.settle(ADA)
        assert not await server.lets_in(tokens["kept"])
        assert await server.lets_in(await bot.manager.issue_credentials(ADA, made["kept"].id, rotate=True))
