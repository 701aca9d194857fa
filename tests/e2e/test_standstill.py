"""NATS takes nothing for longer than the window holds: the bot answers, and Discord keeps what cannot be routed."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest

from tests.conftest import running_stores
from tests.e2e.conftest import text
from tests.e2e.test_outages import all_arrived, load_on, told  # noqa: F401
from tests.e2e.test_sessions import gaps

WINDOW = 50


@pytest.fixture(scope="module")
async def stores(tmp_path_factory):
    """Servers that only these tests use, for they halt one."""
    async with running_stores(tmp_path_factory.mktemp("standstill")) as running:
        yield running


@pytest.fixture
async def bound(open_scene, discord, monkeypatch):
    """Ada's server bound to `blue`, Bob's to `red`, and room for few events that NATS has not acknowledged."""
    discord.settings.heartbeat_interval_ms = 100  # Discord takes 120 a minute
    monkeypatch.setattr("bot.constants.READ_ON_AFTER_S", 0.05)
    async with open_scene(routing={"window": WINDOW}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red", bind_here=True)
        yield scene


@contextmanager
def frozen(stores):
    os.kill(stores.pids["nats"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stores.pids["nats"], signal.SIGCONT)


@asynccontextmanager
async def standstill(scene, stores):
    """Events come, and more of them than the window holds, while NATS is frozen; at the end all have arrived."""
    async with load_on(scene) as load:
        with frozen(stores):
            await load.more(WINDOW)
            yield load
    await all_arrived(scene, load)


async def extensions(scene, name):
    sandbox = await scene.sandbox(name)
    query = "SELECT count(*) FROM sandbox_audit_log WHERE sandbox_id = $1 AND event_type = 'ttl_extended'"
    return await scene.app.stores.pool.fetchval(query, sandbox.id)


def the_connection(scene):
    (connection,) = scene.app.gateway._connections.values()
    return connection


async def has_resumed(discord):
    return discord.resumes > 0


async def test_commands_are_answered_once_while_nats_is_frozen_and_no_event_is_lost_doubled_or_inverted(bound, stores):
    async with standstill(bound, stores) as load:
        for _ in range(3):
            assert "blue" in text(await bound.ada.command("sandbox list", channel=bound.lab.general))
            await bound.ada.command("sandbox extend", channel=bound.lab.general, sandbox="blue", by="1h")
            await load.more(20)
        await bound.ada.send_dm("is anybody there?")
        await bound.until(lambda: has_helped(bound.ada))
        assert bound.discord.resumes == 0
    assert (bound.discord.identifies, bound.discord.resumes) == (1, 1)
    await bound.ada.command("sandbox list", channel=bound.lab.general)
    assert await extensions(bound, "blue") == 3
    assert len(helped(bound.ada)) == 1
    assert bound.app.router.counts["stale interactions"] == 0


def helped(person):
    return [message for message in person.dm_channel.messages.values() if "slash commands" in message.content]


async def has_helped(person):
    return helped(person)


async def test_heartbeats_go_on_and_name_the_last_event_that_was_routed(bound, stores):
    (session,) = bound.discord.gateway.live()
    async with standstill(bound, stores) as load:
        routed = the_connection(bound).sequence
        before = len(session.heartbeats)
        await load.more(20)
        await bound.ada.command("sandbox list", channel=bound.lab.general)
        await bound.until(lambda: has_more(session.heartbeats, before + 2))
        assert set(list(session.heartbeats)[before:]) == {routed}
        assert (the_connection(bound).session.sequence, session.connection is not None) == (routed, True)


async def has_more(found, than):
    return len(found) > than


async def test_it_holds_in_memory_what_the_window_allows_and_no_more(bound, stores):
    publisher = bound.app.publisher
    async with standstill(bound, stores) as load:
        await load.more(100)
        assert publisher.last_published - publisher.low_water_mark == WINDOW


@pytest.mark.long
async def test_a_connection_that_is_lost_meanwhile_resumes_at_the_same_event_and_runs_no_command_again(bound, stores):
    async with standstill(bound, stores) as load:
        await bound.ada.command("sandbox extend", channel=bound.lab.general, sandbox="blue", by="1h")
        routed = the_connection(bound).sequence
        await bound.discord.request_reconnect()
        await bound.until(lambda: has_resumed(bound.discord))
        await load.more(20)
        await bound.ada.command("sandbox extend", channel=bound.lab.general, sandbox="blue", by="1h")
        assert the_connection(bound).session.sequence == routed
    assert (bound.discord.identifies, bound.discord.resumes) == (1, 2)
    assert await extensions(bound, "blue") == 2


async def test_after_a_while_the_log_says_that_events_may_be_missing(bound, stores, told, monkeypatch):  # noqa: F811
    monkeypatch.setattr("bot.constants.DISCORD_SURELY_KEEPS_S", 0.05)

    async def is_said():
        return any("may be missing" in line for _, line, _ in told)

    async with standstill(bound, stores):
        await bound.until(is_said)
    said = [line for _, line, facts in told if "shard" in facts and "events" in line]
    assert [line.split()[0] for line in said] == ["NATS", "events", "NATS"], said


@pytest.mark.long
async def test_a_session_that_discord_gives_up_meanwhile_leaves_a_marker_that_names_the_last_routed_event(
    bound, stores, monkeypatch
):
    async def at_once(*_, **__):
        """Instead of five seconds between two IDENTIFYs."""

    monkeypatch.setattr(type(bound.app.bot), "before_identify_hook", at_once)
    with frozen(stores):
        async with load_on(bound) as load:
            await load.more(WINDOW)
        routed = the_connection(bound).sequence
        assert routed < bound.discord.dispatched[-1].sequence
        bound.discord.forget_sessions()
        forgotten_at = datetime.now(UTC)

    async def is_marked():
        return await gaps(bound, "blue")

    await bound.until(is_marked)
    (gap,) = await gaps(bound, "blue")
    assert gap["last_sequence"] == routed
    assert datetime.fromisoformat(gap["since"]) < forgotten_at


async def test_a_nats_that_is_only_slow_costs_no_resume(bound, stores, monkeypatch):
    monkeypatch.setattr("bot.constants.READ_ON_AFTER_S", 5.0)
    async with load_on(bound) as load:
        with frozen(stores):
            await load.more(WINDOW)
            assert bound.app.publisher.is_full
        await asyncio.wait_for(bound.app.publisher.wait_for_capacity(), 5)
    await all_arrived(bound, load)
    assert bound.discord.resumes == 0
