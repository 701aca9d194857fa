"""The bot's process is killed in the middle of commands, and started again: Discord sends them again."""

import asyncio
import signal
from datetime import timedelta

import pytest

from bot import names
from tests.e2e.bot_process import Bots, addresses_of
from tests.e2e.conftest import environment_in, text, title
from tests.e2e.test_once import connects

pytestmark = pytest.mark.long

HOUR = timedelta(hours=1)


@pytest.fixture
async def start(tmp_path, discord, stores, dsn, nats_client, redis_client):
    """Starts the bot on the session's stores; it has its session when this returns."""
    async with Bots(discord, tmp_path, addresses_of(stores, dsn, callout=True)) as bots:
        yield bots.start_connected


@pytest.fixture
def play(start, discord, redis_client):
    """What people do comes to a process that is killed when `reached` says so, and then to the next one, for Discord
    sends again what came since `play` began."""

    async def do(bot, acts, reached):
        key = names.gateway_session_key(discord.application_id, 1, 0)
        async with asyncio.timeout(5):
            while not (saved := await redis_client.get(key)):
                await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(act) for act in acts]
        await reached(waiting)
        await bot.stop(signal.SIGKILL)
        await discord.wait_until_gone()
        await redis_client.set(key, saved)  # however far it had got with saving
        discord.set_failing("/interactions/", None)
        return await start(), waiting

    return do


@pytest.mark.timeout(90)  # a bot is started four times, which is what is tried
@pytest.mark.parametrize("died", ["after the answers", "between commit and answer"])
async def test_a_killed_bots_commands_are_carried_out_once_and_answered_once(discord, start, play, pool, died):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    bot = await start()

    async def ask(path, **options):
        return await ada.command(f"sandbox {path}", channel=lab.general, **options)

    for name in ("long", "linked", "fresh", "gone"):
        await ask("create", name=name, ttl="2h", bind_here=name == "long")
    questions = [(await ask(path, sandbox=name)).message for path, name in (("reset", "fresh"), ("destroy", "gone"))]
    before = await pool.fetchval("SELECT expires_at FROM sandboxes WHERE name = 'long'")

    async def made():
        query = "SELECT count(*) FROM sandbox_audit_log WHERE event_type = ANY ($1) AND created_at >= $2"
        return await pool.fetchval(query, list(CHANGES), began_at)

    async def reached(waiting):
        if died == "after the answers":
            await asyncio.gather(*waiting)
        async with asyncio.timeout(20):
            while await made() < len(CHANGES):
                await asyncio.sleep(0.01)

    if died == "between commit and answer":
        discord.set_failing("/interactions/", 404)
        discord.settings.callback_deadline_s = 30  # so that a slow machine, too, starts the next bot in time
    began_at = await pool.fetchval("SELECT now()")
    acts = [
        ask("create", name="new"),
        ask("extend", sandbox="long", by="8h"),
        ask("unbind-guild"),
        ask("connect", sandbox="linked"),
        ada.click(questions[0], "Reset"),
        ada.click(questions[1], "Destroy"),
    ]
    bot, waiting = await play(bot, acts, reached)
    replies = await asyncio.gather(*waiting)
    titles = ["Sandbox “new” is running", "Sandbox “long” lives longer", "Server unbound", "Connect to “linked”"]
    titles += ["Sandbox “fresh” is as when it was made", "Sandbox “gone” is destroyed"]
    async with asyncio.timeout(20):
        while [title(reply.message) for reply in replies] != titles:
            await asyncio.sleep(0.02)
    last = await ask("list")  # is read after all that was sent again
    assert "new" in text(last)
    assert [len(reply.messages) for reply in replies] == [1] * len(replies)
    assert await connects(environment_in(replies[3]))
    assert await pool.fetchval("SELECT expires_at FROM sandboxes WHERE name = 'long'") == before + 8 * HOUR
    rows = await pool.fetch(
        "SELECT event_type, count(*) FROM sandbox_audit_log WHERE event_type = ANY ($1) AND created_at >= $2"
        " GROUP BY event_type",
        list(CHANGES),
        began_at,
    )
    expected = CHANGES | ({"credentials_issued": 2} if died == "between commit and answer" else {})
    assert {row["event_type"]: row["count"] for row in rows} == expected


CHANGES = {
    "sandbox_created": 1,
    "ttl_extended": 1,
    "guild_unregistered": 1,
    "credentials_issued": 1,
    "sandbox_reset": 1,
    "sandbox_destroyed": 1,
}
