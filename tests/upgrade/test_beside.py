"""A bot of the last release goes on while one of today has migrated the database under it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest

from bot.control_plane import open_control_plane
from bot.sandboxes.model import OPERATOR, Actor
from bot.settings import Settings
from bot.stores.opening import open_stores
from tests.conftest import address, create_database, drop_database, store_settings

pytestmark = pytest.mark.timeout(120)  # two versions of everything are started

ADA = "100000000000000001"
_PIPES = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
MAY_BECOME_THE_GROUP = """
SELECT count(*) FROM sandboxes
  JOIN pg_auth_members ON member = to_regrole(schema_name) AND roleid = to_regrole('sandbox_worker')
 WHERE set_option AND status <> 'destroyed'
"""
NOT_THE_ROLES = """
SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE nspname ~ '^sandbox_[0-9a-f]{8}$' AND relowner <> to_regrole(nspname)
"""


@pytest.fixture
async def dsn(stores):
    """The address of a database without a table."""
    name = f"old_{uuid.uuid4().hex[:12]}"
    await create_database(stores, name, "template1")
    yield address(stores, name)
    await drop_database(stores, name)


@pytest.fixture
def environment(stores, dsn):
    callout = stores.nats_callout
    return {
        "DATABASE_URL": dsn,
        "REDIS_URL": stores.redis_url,
        "NATS_URL": stores.nats_url,
        "NATS_AUTH_URL": callout.auth_url,
        "NATS_SYSTEM_URL": callout.system_url,
        "NATS_ACCOUNT_SEED": callout.account_seed,
    }


@pytest.fixture
async def beside(release, discord, environment, tmp_path, nats_client, redis_client):
    async with release.running(discord, tmp_path, environment):
        yield


@pytest.fixture
async def last_in_public_beside(last_in_public, discord, environment, tmp_path, nats_client, redis_client):
    async with last_in_public.running(discord, tmp_path, environment):
        yield


@pytest.mark.long
async def test_the_old_bot_goes_on_with_what_it_has_and_with_what_the_new_one_makes(
    release, discord, stores, dsn, environment, beside, tmp_path
):
    def old(*arguments):
        return release.data(*arguments, "--json", cwd=tmp_path, env=environment)

    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)

    async def ask(command, **options):
        """Of the old bot, which was connected before the migration; what it has prepared has to hold."""
        reply = await ada.command(f"sandbox {command}", channel=lab.general, **options)
        return str(reply.message.embeds) + str(reply.message.content)

    assert "is running" in await ask("create", name="before", bind_here=True)
    assert "before" in await ask("list")
    settings = Settings(**store_settings(stores, dsn))
    async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
        assert await opened.pool.fetchval(MAY_BECOME_THE_GROUP) == 0
        assert "is running" in await ask("create", name="after")
        assert await opened.pool.fetchval(MAY_BECOME_THE_GROUP) == 0
        assert "before" in await ask("list")
        assert "❌" not in await ask("status", sandbox="before")
        await manager.access.reconcile(timedelta(minutes=1))
        assert await opened.pool.fetchval(NOT_THE_ROLES) == 0
        made = await manager.create(OPERATOR, owner_id=ada.id, name="newer")
        assert {item["name"] for item in await old("list")} == {"before", "after", "newer"}
        extended = await old("extend", "newer", "2h")
        await old("reset", "newer", "--yes")
        assert await opened.pool.fetchval(NOT_THE_ROLES) == 0
        assert (await manager.get_by_id(made.id)).expires_at.isoformat() == extended["expires_at"]
        assert (await manager.get_health(made.id)).ok
        by_cli = await old("create", "latest", "--owner", ADA, "--ttl", "3h")
        assert str((await manager.get_by_name("latest")).id) == by_cli["id"]

        await manager.unregister_guild(Actor(1, "bob"), lab.id, manages_guild=True)
        await ada.wait_for_dm(lambda message: str(lab.id) in str(message.embeds), 30)
        assert "now goes to" in await ask("bind-guild", sandbox="newer")
        (binding,) = await manager.bindings.list_of([lab.id])
        await manager.bindings.check_again(binding, timedelta(hours=1))
        assert "goes to" in await ask("unbind-guild")

        assert len(await old("destroy", "--all", "--yes")) == 4
        assert await manager.list() == []


@pytest.mark.long
async def test_each_command_of_a_bot_whose_tables_were_in_public_goes_on_when_they_are_elsewhere(
    last_in_public, discord, stores, dsn, environment, last_in_public_beside, tmp_path
):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)

    async def ask(command, expected, **options):
        reply = await ada.command(f"sandbox {command}", channel=lab.general, **options)
        assert expected in str(reply.message.embeds) + str(reply.message.content)
        return reply.message

    async def press(button, expected):
        question = await ask(button.lower(), "blue", sandbox="blue")
        pressed = await ada.click(question, button)
        await pressed.wait_for(lambda _: expected in str(question.embeds), 20)

    async def run(*arguments):
        process = await last_in_public.start("-m", "bot", *arguments, cwd=tmp_path, env=environment, **_PIPES)
        stdout, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()
        return stdout.decode()

    async def each_command():
        await ask("create", "is running", name="blue", bind_here=True, tags="team=red")
        await ask("list", "blue", tags="team=red")
        await ask("status", "PostgreSQL", sandbox="blue")
        await ask("connect", "", sandbox="blue")
        await ask("extend", "blue", sandbox="blue", by="2h")
        await ask("unbind-guild", "goes to")
        await ask("bind-guild", "now goes to", sandbox="blue")
        await press("Reset", "as when it was made")
        await ask("audit", "reset", sandbox="blue")
        assert "SANDBOX_DATABASE_URL" in await run("sandbox", "env", "blue", "--rotate", "--yes")
        await press("Destroy", "is destroyed")
        for command in (["sandbox", "sweep"], ["sandbox", "orphans"], ["rotate-keys"]):
            await run(*command)
        assert await run("migrate") == "nothing to apply\n"

    await each_command()
    async with open_stores(Settings(**store_settings(stores, dsn))):
        await each_command()
