"""A play for each entry: what it says is done, step by step, and what it promises is looked for."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import asyncpg

from bot.stores.nats_jwt import account_of
from tests.chaos.disks import Disk
from tests.cluster.nats_servers import BOT
from tests.cluster.server import LOOPBACK
from tests.runbook.certificates import rotate_certificates
from tests.runbook.entries import Entry
from tests.runbook.restores import restore_backup
from tests.runbook.site import PATIENCE_S, SHARDS, Site, connect, says

Play = Callable[[Site, Entry], AsyncIterator[str]]


async def token_leaked(site: Site, entry: Entry) -> AsyncIterator[str]:
    await site.discord.reset_token()
    for name in ("bot-0", "bot-1"):
        bot = site.processes[name]
        assert (code := await site.ends(name)) == 78, code
        assert says(bot, "discord.token: Discord refuses it"), bot.lines[-5:]
    assert (status := await _relayed_status(site)) == 503, status
    yield "with its token reset each bot ends with 78, and the relay says 503"

    site.settings["DISCORD_TOKEN"] = site.discord.token
    site.write_env()
    await site.start_bots()
    await site.restart_relay()
    assert any(says(site.processes[f"bot-{shard}"], "events may be missing") for shard in range(SHARDS))
    assert (status := await _relayed_status(site)) == 200, status
    await site.lives()
    yield "they go on with the new one, and developers' programs with theirs"

    await _delete_commands(site)
    await site.type(entry, "sandbox-bot sync", tells=["/sandbox"])
    yield "commands that somebody deleted are registered again"

    async for step in _change_secrets(site, entry):
        yield step


async def _change_secrets(site: Site, entry: Entry) -> AsyncIterator[str]:
    await site.stores.change_passwords()
    await site.not_ready("bot-0", "postgres", "password authentication failed")
    await site.lives()
    site.write_env()
    for shard in range(SHARDS):
        assert await site.stop(f"bot-{shard}") == 0
        await site.start_bot(shard)
    await site.restart_relay()
    await site.ready("bot-0", "bot-1", "relay")
    await site.lives()
    yield "passwords of PostgreSQL and Redis are changed, and nothing stood still"

    await site.type(entry, "sandbox-bot rotate-keys", tells=["rotated"])
    await site.lives()
    yield "the bots' own keys are new"

    told = dict(line.split("=", 1) for line in (await site.type(entry, "sandbox-bot nats-seed")).splitlines())
    seed = told["NATS_ACCOUNT_SEED"]
    assert told["SANDBOX_ISSUER"] == account_of(seed)
    await site.stop_bots()
    await site.stores.nats_server.stop()
    site.stores.nats.rekey(seed, {BOT: "another-password"})
    await site.stores.nats_server.start()
    site.write_env()
    await site.start_bots()
    await site.restart_relay()
    await site.lives()
    yield "NATS has another seed, issuer and password, and workers have logged in again"

    environment = await connect(site, "attic")
    session = await asyncpg.connect(environment["SANDBOX_DATABASE_URL"])
    await site.type(entry, "sandbox-bot sandbox env NAME --rotate", "--yes", NAME="attic")
    await site.until(session.is_closed, "the old credentials' connection has ended")
    yield "a sandbox has other credentials, and connections with the old ones are ended"


async def disk_full(site: Site, entry: Entry) -> AsyncIterator[str]:
    await site.ada.command("sandbox create", channel=site.lab.general, name="spare")
    async with _full(site):
        await site.until(lambda: _send_until_told(site), "NATS's own log says that its disk is full")
        await site.not_ready("bot-0", "nats", "")
        yield "NATS's disk is full: its log says so, and /readyz that it takes no changes"

        await site.type(entry, "sandbox-bot sandbox list --all", tells=["spare"])
        await site.type(entry, "sandbox-bot sandbox status NAME", NAME="spare", code=None, tells=["KiB"])
        yield "whose sandboxes there are, and how large, is told"

        await site.type(entry, "sandbox-bot sandbox destroy NAME", "--yes", NAME="spare")
        yield "a sandbox that nobody needs is destroyed meanwhile"

    await site.ready("bot-0", "bot-1", "relay")
    await site.type(entry, "sandbox-bot sandbox reset NAME", "--yes", NAME="attic")
    await site.lives()
    yield "with room, and NATS restarted, all goes on, and a sandbox is emptied"


@asynccontextmanager
async def _full(site: Site) -> AsyncIterator[None]:
    """The disk of NATS, which is restarted when there is room again."""
    filling = asyncio.create_task(Disk(site.stores.nats_folder).fill(10 * PATIENCE_S))
    try:
        yield
    finally:
        filling.cancel()
        await asyncio.wait({filling})
        await site.stores.nats_server.stop()
        await site.stores.nats_server.start()


async def _send_until_told(site: Site) -> bool:
    """It hears of it when it writes."""
    for guild in (site.lab, site.attic):
        await site.discord.dispatch("TYPING_START", {"guild_id": str(guild.id), "x": "x" * 5000}, guild_id=guild.id)
    return "no space left on device" in site.stores.nats_server.log.read_text()


async def split_shards(site: Site, entry: Entry) -> AsyncIterator[str]:
    owners = [f"runs shard {shard} of {SHARDS}" for shard in range(SHARDS)]
    await site.type(entry, "sandbox-bot check", "--within", "1m", tells=owners)
    yield "check says which bot has which shard"

    for shard in range(SHARDS):
        new = await site.start_bot(shard, name=f"new-{shard}", until="standby")
        await site.ready(f"new-{shard}")
        assert await site.stop(f"bot-{shard}") == 0
        await site.until(lambda new=new: says(new, "took over shards"), "the standby takes over", new)
        await site.lives()
    yield "each bot is replaced by its standby, which is ready before"

    standby = await site.start_bot(0, until="standby")
    await site.stop("new-0", signal.SIGKILL)
    await site.until(lambda: says(standby, "took over shards"), "the standby takes over", standby)
    await site.lives()
    yield "a standby takes over from one that was killed"

    await site.stop("new-1", signal.SIGKILL)
    await site.start_bot(1)
    await site.lives()
    yield "one that is gone for good is followed by another one with its ids"

    one = await site.start_bot(0, name="new-0", until="another number of shards", BOT_DISCORD__SHARD_COUNT="1")
    for shard in range(SHARDS):
        assert await site.stop(f"bot-{shard}") == 0
    await site.until(lambda: says(one, "took over shards"), "the other number of shards is taken over", one)
    await site.ready("new-0")
    await site.lives()
    assert await site.stop("new-0") == 0
    await site.start_bots()
    await site.lives()
    yield "another number of shards waits until all bots with the one before are stopped"


PLAYS: dict[str, Play] = {
    "The bot's token has leaked": token_leaked,
    "A disk is full": disk_full,
    "Restore a backup": restore_backup,
    "Rotate certificates": rotate_certificates,
    "Two bots, split shards": split_shards,
}
"""By the entry's heading."""


async def _relayed_status(site: Site) -> int:
    """Of a request that the developer's bot makes."""
    headers = {"Authorization": f"Bot {site.relayed.token}"}
    trusted = ssl.create_default_context(cafile=str(site.certificates / "ca.pem"))
    address = f"https://{LOOPBACK}:{site.ports['serving']}/api/v10/channels/{site.lab.general.id}/messages"
    async with aiohttp.ClientSession() as session, session.get(address, headers=headers, ssl=trusted) as answer:
        return answer.status


async def _delete_commands(site: Site) -> None:
    """As whoever has the token may."""
    headers = {"Authorization": f"Bot {site.discord.token}"}
    path = f"{site.discord.api_base}/applications/{site.discord.application_id}/commands"
    async with aiohttp.ClientSession(headers=headers) as session, session.put(path, json=[]) as answer:
        assert answer.status == 200
