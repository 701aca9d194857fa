"""Disks that are full for ten seconds, one store's or all: everything goes on by itself, and no event is lost."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import ExitStack, asynccontextmanager, suppress

import asyncpg
import pytest
from pydantic import SecretStr

from bot.app import open_app
from bot.errors import SandboxError
from bot.sandboxes.model import OPERATOR
from bot.settings import Discord, Embedded, Relay, Routing, Settings
from bot.stores.embedded import EmbeddedStores
from bot.stores.nats_client import FAILURES
from tests.e2e.conftest import Scene, running
from tests.e2e.test_outages import all_arrived, load_on
from tests.faults.disks import full, needs_mount, small_disk
from tests.sessions import ENDED

pytestmark = [pytest.mark.long, needs_mount]

FULL_FOR_S = 10
BACK_WITHIN_S = 30
MEGABYTES = {"postgres": 256, "redis": 16, "nats": 64}


@asynccontextmanager
async def on_small_disks(folder, stores):
    """The data folder of embedded stores, in which each of these has a small disk of its own."""
    async with EmbeddedStores(folder):
        pass  # PostgreSQL's is made elsewhere and moved
    shutil.move(folder / "postgres", folder / "made")
    with ExitStack() as stack:
        disks = [stack.enter_context(small_disk(folder / store, MEGABYTES[store])) for store in stores]
        shutil.copytree(folder / "made", folder / "postgres", dirs_exist_ok=True)
        (folder / "postgres").chmod(0o700)
        yield disks


@pytest.fixture
def open_filled(discord, tmp_path):
    @asynccontextmanager
    async def open_(stores):
        async with on_small_disks(tmp_path, stores) as disks:
            settings = Settings(
                discord=Discord(token=SecretStr(discord.token), api_base=discord.api_base),
                embedded=Embedded(folder=tmp_path),
                routing=Routing(window=200),
                relay=Relay(listen="off"),
            )
            ada, bob = discord.add_person("ada"), discord.add_person("bob")
            lab, arcade = discord.add_guild("Ada's Lab", owner=ada), discord.add_guild("Bob's Arcade", owner=bob)
            async with open_app(settings) as app, running(app, discord):
                yield Scene(discord, app, ada, bob, lab, arcade, lab), disks

    return open_


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stores", [["postgres"], ["redis"], ["nats"], ["postgres", "redis", "nats"]], ids="-".join)
async def test_all_goes_on_by_itself_and_no_event_is_lost(open_filled, stores):
    async with open_filled(stores) as (scene, disks):
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red", bind_here=True)
        blue = await scene.sandbox("blue")
        async with load_on(scene, 0.02) as load:
            async with full(*disks):
                using = asyncio.create_task(use_up(scene))
                await asyncio.sleep(FULL_FOR_S)
                using.cancel()
            freed = time.monotonic()
            await scene.until(lambda: changes(scene), BACK_WITHIN_S)
            sent = {guild: len(texts) for guild, texts in load.sent.items()}
            await scene.until(lambda: has_stored(scene, sent), BACK_WITHIN_S - (time.monotonic() - freed))
        await all_arrived(scene, load, 20)
        assert scene.app.publisher.counts["refused"] == 0
        if "nats" in stores:
            await scene.discord.owner.wait_for_dm(lambda message: "has restarted NATS" in message.content)
            events = [entry.event_type for entry in await scene.app.manager.get_audit(OPERATOR, blue.id)]
            assert events.count("store_restarted") == 1
        log = (scene.app.settings.embedded.folder / "log" / "postgres.log").read_text()
        assert ("PANIC" in log) is ("postgres" in stores)
        assert (scene.discord.identifies, scene.app.router.counts["gaps"]) == (1, 0)


async def use_up(scene):
    """What PostgreSQL has room for in the files that it has, those of its log above all, as often as it comes back."""
    while True:
        with suppress(*ENDED):
            connection = await asyncpg.connect(scene.app.stores.addresses.embedded.superuser_url())
            try:
                while True:
                    await connection.execute("SELECT pg_switch_wal(), pg_logical_emit_message(true, '', '')")
            finally:
                connection.terminate()
        await asyncio.sleep(0.1)


async def changes(scene):
    """Whether a sandbox can be made again, which takes all three stores."""
    actor = scene.app.bot.actor(await scene.app.bot.fetch_user(scene.ada.id))
    with suppress(SandboxError):
        async with asyncio.timeout(5):
            made = await scene.app.manager.create(actor)
            await scene.app.manager.destroy(actor, made.id)
            return True
    return False


async def has_stored(scene, sent):
    """Also while a store is away, which is no answer."""
    with suppress(*FAILURES, SandboxError):
        for name, guild in (("blue", scene.lab), ("red", scene.arcade)):
            stream = (await scene.sandbox(name)).stream
            if (await scene.jetstream.stream_info(stream)).state.messages < sent[guild]:
                return False
        return True
    return False
