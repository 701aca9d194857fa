"""Whether a bot is ready: what it tells of its stores, of Discord, and of its own parts."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bot import constants
from bot.app import open_app
from bot.errors import ServiceUnavailable
from bot.health.probes import StoreProbes
from tests.e2e.conftest import running
from tests.e2e.readiness import LISTENS, watching
from tests.forks import run_command

FOUND_WITHIN_S = 5
LINES = {"postgres": ("postgres",), "redis": ("redis",), "nats": ("nats", "nats_auth", "nats_system")}
SHORT = {"HEALTH_ANSWER_WITHIN_S": 0.5, "HEALTH_LOOKED_AT_EVERY_S": 0.05}


@pytest.fixture
async def watched(open_scene):
    """A scene, and what its bot tells."""
    async with open_scene(health=LISTENS) as scene, watching(scene.app.health.address) as watch:
        await watch.until_ready()
        yield scene, watch


@pytest.fixture
def watch_wired(discord, settings_of, wires, nats_client, redis_client):
    """What a bot tells that reaches the stores by the wires."""

    @asynccontextmanager
    async def open_():
        discord.add_guild("Lab", owner=discord.owner)
        settings = settings_of(discord, health=LISTENS).model_copy(update=wires.sections)
        async with (
            open_app(settings) as app,
            running(app, discord),
            watching(app.health.address) as watch,
        ):
            await watch.until_ready()
            yield watch

    return open_


async def test_a_bot_is_ready_when_all_that_it_takes_is_well_and_says_what_is_not(watched, monkeypatch, tmp_path):
    scene, watch = watched

    async def ask():
        """`sandbox-bot health`."""
        asked = await asyncio.to_thread(run_command, ["health", "--url", watch.address], cwd=tmp_path, env={})
        return asked.returncode, asked.stdout, asked.stderr

    status, checks = await watch.ask()
    parts = {f"part {name}" for name in scene.app.supervisor.parts}
    assert (status, set(checks)) == (200, {"bot", "gateway", "postgres", "redis", "nats", "routes"} | parts)
    assert checks["gateway"]["detail"] == "connected: shard 0"

    assert await ask() == (0, "ready, connected: shard 0\n", "")

    part = scene.app.supervisor.parts["orphans"]  # whose next turn is in a minute
    part.failed(ServiceUnavailable("PostgreSQL", "gone"))
    since = part.since.isoformat(timespec="milliseconds")
    _, checks = await watch.ask()
    assert checks["part orphans"] == {"ok": False, "detail": "PostgreSQL: gone", "since": since}
    code, out, error = await ask()
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert f"not ready: part orphans since {since}: PostgreSQL: gone" in error
    part.running()

    async with AsyncExitStack() as busy:
        for _ in range(scene.app.settings.postgres.pool_size):
            await busy.enter_async_context(scene.app.stores.pool.acquire())
        await StoreProbes(scene.app.stores, replicas=1).all["postgres"]()

    monkeypatch.setattr(constants, "ROUTES_FRESH_FOR_S", -1)
    await watch.until_wrong("routes")
    monkeypatch.undo()
    scene.discord.turn_away("RESUME", 1006)  # so that each connection is open for a while
    await scene.discord.hang_up()
    await watch.until_wrong("gateway")
    resumes = len(scene.discord.attempts)
    async with asyncio.timeout(30):
        while len(scene.discord.attempts) < resumes + 4:
            assert (await watch.wrong())["gateway"] == "not connected: shard 0"
    scene.discord.turn_away("RESUME", None)
    await watch.until_ready()

    scene.app.stop.set()
    await watch.until_wrong("bot")


async def test_stores_that_stand_still_or_are_full_are_named_and_forgotten_when_they_are_back(
    watch_wired, wires, redis_client, monkeypatch
):
    for name, value in SHORT.items():
        monkeypatch.setattr(constants, name, value)
    async with watch_wired() as watch:
        for line in wires.lines.values():
            line.freeze()
        await watch.until_wrong(*LINES)
        _, checks = await watch.ask()
        assert {checks[store]["detail"] for store in LINES} == {"no answer within 0.5 s"}
        for line in wires.lines.values():
            line.thaw()
        await watch.until_ready()

        (before,) = (await redis_client.config_get("maxmemory")).values()
        await redis_client.config_set("maxmemory", 1)
        try:
            await watch.until_wrong("redis")
            assert (await watch.wrong())["redis"].startswith("no memory left: ")
        finally:
            await redis_client.config_set("maxmemory", before)
        await watch.until_ready()
