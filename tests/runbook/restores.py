"""The play of “Restore a backup”: PostgreSQL alone of servers of one's own, and the whole folder of embedded stores."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from local_discord import Guild, LocalDiscord
from tests.cluster.server import free_ports
from tests.runbook.entries import Entry
from tests.runbook.site import Site, connect, says

_ROTATE = ["sandbox-bot", "sandbox", "env", "attic", "--rotate", "--yes"]


async def restore_backup(site: Site, entry: Entry) -> AsyncIterator[str]:
    await site.run(_ROTATE)
    await site.stores.back_up(site.folder / "backup")
    await site.ada.command("sandbox create", channel=site.lab.general, name="later")
    known = await site.stores.last_change()
    await site.run(_ROTATE)
    await site.until(lambda: _is_known(site, known), "Redis knows of what came after the backup")
    await site.stop_bots()
    assert await site.stop("relay") == 0
    await site.stores.restore(site.folder / "backup")
    bot = await site.start_bot(0, until="PostgreSQL was restored from a backup")
    await site.not_ready("bot-0", "part restores", "")
    yield "PostgreSQL is a backup, Redis and NATS are not: the first bot says so, and is not ready"

    mismatches = ["“attic”: its credentials may", "PostgreSQL does not know"]
    await site.type(entry, "sandbox-bot check --restore", "--within", "1m", code=1, tells=mismatches)
    await site.type(entry, "sandbox-bot sandbox orphans", tells=["never dropped"])
    await site.run(_ROTATE, code=1)
    yield "what does not match is listed, and nothing is handed out"

    await site.type(entry, "sandbox-bot settle-restore", "--yes", tells=["credentials replaced: 1"])
    await site.ready("bot-0")
    assert bot.process.returncode is None
    await site.start_bot(1)
    await site.start_relay()
    await site.lives()
    assert await connect(site, "attic"), "no credentials"
    yield "it is settled: the bots go on, and a worker whose credentials are those of before never ended"

    async with _embedded(site) as (alone, guild):
        await alone.start_bot(0)
        await alone.ada.command("sandbox create", channel=guild.general, name="kept", bind_here=True)
        assert await alone.stop("bot-0") == 0
        await asyncio.to_thread(shutil.copytree, alone.folder / "data", alone.folder / "backup", symlinks=True)
        await alone.start_bot(0)
        await alone.ada.command("sandbox create", channel=guild.general, name="later")
        assert await alone.stop("bot-0") == 0
        await asyncio.to_thread(shutil.rmtree, alone.folder / "data")
        await asyncio.to_thread(shutil.move, alone.folder / "backup", alone.folder / "data")
        bot = await alone.start_bot(0)
        assert not says(bot, "PostgreSQL was restored")
        await alone.run(["sandbox-bot", "sandbox", "status", "kept"])
        await alone.type(entry, "sandbox-bot settle-restore --replace-all", "--yes", tells=["credentials replaced: "])
        assert await connect(alone, "kept")
    yield "the whole folder of embedded stores is a backup, and all credentials are replaced"


async def _is_known(site: Site, before: str) -> bool:
    return await site.stores.last_change() != before


@asynccontextmanager
async def _embedded(site: Site) -> AsyncIterator[tuple[Site, Guild]]:
    """Another installation, on another Discord, with embedded stores."""
    folder = site.folder / "embedded"
    folder.mkdir()
    async with LocalDiscord() as discord:
        ada = discord.add_person("ada")
        discord.add_to_team(ada)
        guild = discord.add_guild("lab", owner=ada)
        settings = {
            "DISCORD_TOKEN": discord.token,
            "BOT_DISCORD__API_BASE": discord.api_base,
            "BOT_DISCORD__SHARD_COUNT": "1",
            "BOT_RELAY__LISTEN": "off",
            "BOT_LOG__JSON_LINES": "false",
        }
        alone = Site(folder, discord, ada, guild, guild, None, settings, {"bot-0": free_ports(1)[0]})
        alone.write_env()
        try:
            yield alone, guild
        finally:
            await alone.end()
