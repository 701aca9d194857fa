"""Discord's sessions outlive the bot: what it has missed comes again, and what never comes is marked."""

import asyncio
import json
import shutil
import socket
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot import metrics, names
from bot.app import open_app
from bot.settings import Nats
from bot.stores.embedded.folder import free_port, is_free
from bot.stores.embedded.programs import nats_program
from local_discord.gateway.gateway import Gateway
from tests.e2e.conftest import Scene, running, text, title
from tests.scrapes import scrape_of
from tests.service.servers import until


@pytest.fixture
async def stage(open_scene, settings_of, discord):
    """A scene whose bot may be stopped and started again; `blue` holds Ada's server and `red` Bob's."""

    class Stage:
        def __init__(self, scene):
            self.scene = scene

        @asynccontextmanager
        async def again(self, **changes):
            async with open_app(settings_of(discord, **changes)) as app, running(app, discord):
                self.scene.app = app
                yield self.scene

    @asynccontextmanager
    async def first():
        async with open_scene() as scene:
            await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
            await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red", bind_here=True)
            yield Stage(scene)

    async with first() as stage:
        pass
    return stage


async def contents(scene, sandbox):
    """The texts of the messages in a sandbox's stream."""
    stored = await scene.stored(await scene.sandbox(sandbox))
    return [json.loads(payload)["d"]["content"] for subject, payload, _ in stored if subject.endswith("MESSAGE_CREATE")]


async def gaps(scene, sandbox):
    stored = await scene.stored(await scene.sandbox(sandbox))
    return [json.loads(payload)["d"] for subject, payload, _ in stored if subject.endswith("GATEWAY_GAP")]


async def until_stored(scene, sandbox, count):
    async def enough():
        return len(await contents(scene, sandbox)) >= count

    await scene.until(enough)


async def test_a_restarted_bot_gets_what_it_has_missed_and_identifies_once(stage, discord):
    for number in range(30):
        await stage.scene.ada.send(stage.scene.lab.general, f"missed {number}")
    async with stage.again() as scene:
        await scene.ada.send(scene.lab.general, "and then")
        await until_stored(scene, "blue", 31)
        assert await contents(scene, "blue") == [*(f"missed {number}" for number in range(30)), "and then"]
        assert await gaps(scene, "blue") == []
    assert (discord.identifies, discord.resumes) == (1, 1)


async def test_commands_work_at_once_after_a_restart_although_no_cache_was_filled(stage, discord):
    async with stage.again() as scene:
        assert not scene.app.bot.is_ready()
        reply = await scene.ada.command("sandbox create", channel=scene.lab.general, name="green")
        assert title(reply.message) == "Sandbox “green” is running"
        choices = await scene.ada.autocomplete(
            "sandbox bind-guild", channel=scene.lab.general, focused="guild", sandbox="green", guild="lab"
        )
        assert [choice["name"] for choice in choices] == ["Ada's Lab"]
        bound = await scene.ada.autocomplete(
            "sandbox unbind-guild", channel=scene.lab.general, focused="guild", guild=""
        )
        assert [choice["name"] for choice in bound] == ["Ada's Lab → blue"]
        await scene.ada.command("sandbox unbind-guild", channel=scene.lab.general)
        reply = await scene.ada.command("sandbox bind-guild", channel=scene.lab.general, sandbox="green")
        assert "❌" not in text(reply)
        await scene.ada.send(scene.lab.general, "for green")
        await until_stored(scene, "green", 1)
        await scene.ada.send_dm("hello?")
        await scene.until(lambda: answered(scene.ada))
    assert discord.identifies == 1


async def answered(person):
    return any("slash commands" in message.content for message in person.dm_channel.messages.values())


async def test_a_command_that_is_played_again_is_not_run_again(stage, redis_client, monkeypatch):
    async with stage.again() as scene:
        before = await redis_client.get(key(scene))
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="green")
        await scene.ada.command("sandbox destroy", channel=scene.lab.general, sandbox="green")
    await redis_client.set(key(scene), before)  # as if the bot had died before it could save
    second = int(time.time())
    await scene.until(lambda: is_later(second))  # Discord's answers tell the bot the time in whole seconds
    monkeypatch.setattr("bot.constants.INTERACTION_ANSWERABLE_S", 0)
    async with stage.again() as scene:
        await scene.ada.send(scene.lab.general, "all has been played again")
        await until_stored(scene, "blue", 1)
        await scene.ada.command("sandbox list", channel=scene.lab.general)
        assert scrape_of(scene.app)(metrics.STALE_INTERACTIONS) == 2
        assert scene.app.router.counts["own interactions"] == 3


async def is_later(second):
    return int(time.time()) > second


def key(scene):
    return names.gateway_session_key(scene.discord.application_id, 1, 0)


@pytest.mark.parametrize("why", ["it forgets", "too long ago", "too much missed"])
async def test_a_refused_resume_gives_each_sandbox_exactly_one_gap_marker(stage, discord, why):
    (lost,) = discord.gateway.sessions.values()
    last_sequence, stopped_at = lost.sequence, datetime.now(UTC)
    if why == "it forgets":
        discord.forget_sessions()
    elif why == "too long ago":
        discord.settings.sessions_kept_s = 0
    else:
        for _ in range(10_001):
            discord.gateway.emit("TYPING_START", {"guild_id": str(stage.scene.lab.id)}, guild_id=stage.scene.lab.id)
    async with stage.again() as scene:
        await scene.ada.send(scene.lab.general, "afterwards")
        await until_stored(scene, "blue", 1)
        (blue,), (red,) = await gaps(scene, "blue"), await gaps(scene, "red")
        assert blue["guild_ids"] == [str(scene.lab.id)]
        assert red["guild_ids"] == [str(scene.arcade.id)]
        assert (blue["shard"], blue["session_id"], blue["last_sequence"]) == ([0, 1], lost.id, last_sequence)
        assert datetime.fromisoformat(blue["since"]) <= stopped_at < datetime.fromisoformat(blue["until"])
        assert scene.app.router.counts["gaps"] == 2
    discord.settings.sessions_kept_s = 300
    async with stage.again() as scene:
        assert len(await gaps(scene, "blue")) == 1
    assert discord.identifies == 2


async def test_a_session_that_discord_ends_while_the_bot_runs_leaves_a_marker_too(stage, discord):
    async with stage.again() as scene:
        await scene.ada.send(scene.lab.general, "before")
        await until_stored(scene, "blue", 1)
        identified = discord.identifies
        await discord.hang_up(code=4007)
        await discord.wait_ready()
        await scene.until(lambda: has_identified(discord, identified))
        await scene.until(lambda: has_gap(scene))
        assert len(await gaps(scene, "blue")) == 1


async def has_identified(discord, before):
    return discord.identifies > before


async def has_gap(scene):
    return await gaps(scene, "blue")


class Trap:
    """Takes connections at an address that is not Discord's, and asks for the token."""

    def __init__(self):
        self.url = ""
        self.sockets = []

    async def answer(self, request):
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        self.sockets.append(websocket)
        await websocket.send_json({"op": 10, "d": {"heartbeat_interval": 40_000}, "s": None, "t": None})
        async for _ in websocket:
            """Until whoever came goes again."""
        return websocket


@pytest.fixture
async def trap():
    trap, app = Trap(), web.Application()
    app.router.add_get("/", trap.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    trap.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    yield trap
    await runner.cleanup()


async def test_the_token_is_sent_to_no_address_that_somebody_has_written_into_redis(stage, discord, redis_client, trap):
    name = names.gateway_session_key(discord.application_id, 1, 0)
    saved = json.loads(await redis_client.get(name))
    await redis_client.set(name, json.dumps(saved | {"resume_url": trap.url}))
    async with stage.again() as scene:
        await scene.ada.send(scene.lab.general, "hello")
        await until_stored(scene, "blue", 1)
    assert trap.sockets == []
    assert (discord.identifies, discord.resumes) == (1, 1)


async def test_nor_to_one_that_ready_names(stage, discord, redis_client, trap, monkeypatch):
    await redis_client.flushall()
    ready = Gateway._ready
    monkeypatch.setattr(Gateway, "_ready", lambda *given: ready(*given) | {"resume_gateway_url": trap.url})
    async with stage.again() as scene:
        await scene.ada.send(scene.lab.general, "before")
        await until_stored(scene, "blue", 1)
        await discord.request_reconnect()
        await scene.ada.send(scene.lab.general, "after")
        await until_stored(scene, "blue", 2)
    assert trap.sockets == []
    assert discord.resumes == 1


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_session_goes_on_elsewhere_if_its_own_address_is_gone(
    stage, discord, redis_client, monkeypatch, is_silent
):
    """One of Discord's: without TLS, as here, they are as good as the local one's."""
    monkeypatch.setattr("bot.constants.RESUME_ADDRESS_TIMEOUT_S", 0.2)
    monkeypatch.setattr("bot.routing.gateway_address._OF_DISCORD", "127.0.0.1")
    name = names.gateway_session_key(discord.application_id, 1, 0)
    saved = json.loads(await redis_client.get(name))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        port = silent.getsockname()[1] if is_silent else 9
        await redis_client.set(name, json.dumps(saved | {"resume_url": f"ws://127.0.0.1:{port}"}))
        async with stage.again() as scene:
            await scene.ada.send(scene.lab.general, "hello")
            await until_stored(scene, "blue", 1)
    assert (discord.identifies, discord.resumes) == (1, 1)


async def test_without_a_saved_session_nobody_knows_and_the_marker_says_so(stage, discord, redis_client):
    await redis_client.flushall()
    async with stage.again() as scene:
        (gap,) = await gaps(scene, "blue")
        assert (gap["session_id"], gap["last_sequence"], gap["since"]) == (None, None, None)


async def gaps_between_sessions(scene, sandbox):
    """And not by the stream, which is another one."""
    return [gap for gap in await gaps(scene, sandbox) if "cause" not in gap]


@pytest.fixture
def lose_stream(discord, redis_client, nats_client):
    """As with the power, so no bot may run. Nothing is left of what it held, nor of its message ids, and the server is
    another one than that which had acknowledged it."""

    async def lose(name):
        jetstream = nats_client.jetstream()
        config = (await jetstream.stream_info(name)).config
        await jetstream.delete_stream(name)
        await jetstream.add_stream(config)
        key = names.gateway_session_key(discord.application_id, 1, 0)
        saved = json.loads(await redis_client.get(key))
        await redis_client.set(key, json.dumps(saved | {"nats_servers": ["of before"]}))

    return lose


@pytest.fixture
def slow_disk(monkeypatch):
    """NATS takes a minute to sync."""

    async def settled_after(_):
        return 60.0

    monkeypatch.setattr("bot.stores.opening.settled_after", settled_after)


async def test_what_was_acknowledged_and_not_synced_yet_comes_again(stage, discord, slow_disk, lose_stream):
    async with stage.again() as scene:
        await scene.ada.send(scene.lab.general, "lost with the power")
        await until_stored(scene, "blue", 1)
        blue = await scene.sandbox("blue")
    async with stage.again() as scene:
        await until_stored(scene, "blue", 1)
    await lose_stream(blue.stream)
    async with stage.again() as scene:
        await until_stored(scene, "blue", 1)
        assert await contents(scene, "blue") == ["lost with the power"]
        assert await gaps_between_sessions(scene, "blue") == []
    assert discord.identifies == 1


async def test_a_gap_whose_marker_was_not_synced_yet_is_marked_again(stage, discord, slow_disk, lose_stream):
    discord.forget_sessions()
    async with stage.again() as scene:
        await scene.until(lambda: has_gap(scene))
        (marked,) = await gaps(scene, "blue")
        blue = await scene.sandbox("blue")
        await scene.bob.command("sandbox create", channel=scene.lobby.general, name="later")
    async with stage.again():
        """Resumes the session that began with the gap."""
    await lose_stream(blue.stream)
    async with stage.again() as scene:
        await scene.until(lambda: gaps_between_sessions(scene, "blue"))
        (again,) = await gaps_between_sessions(scene, "blue")
        assert {**again, "until": marked["until"]} == marked
        assert len(await gaps(scene, "red")) == 1
    assert discord.identifies == 2


class OwnNats:
    """A server whose power can be cut: what it has stored since `keep` is gone then."""

    def __init__(self, folder):
        self._store, self._kept = folder / "nats", folder / "kept"
        self._process, self.port = None, free_port()
        self.url = f"nats://127.0.0.1:{self.port}"

    async def start(self):
        self._process = await asyncio.create_subprocess_exec(
            *(nats_program(), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._store)),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until(lambda: not is_free(self.port))

    def keep(self):
        shutil.copytree(self._store, self._kept)

    async def kill(self):
        self._process.kill()
        await self._process.wait()

    async def lose_power(self):
        await self.kill()
        shutil.rmtree(self._store)
        self._kept.rename(self._store)


@pytest.fixture
async def own(tmp_path):
    server = OwnNats(tmp_path)
    await server.start()
    yield server
    await server.kill()


async def test_what_a_nats_of_ones_own_loses_with_its_power_comes_again(discord, settings_of, own, pool):
    settings = settings_of(discord)
    settings = settings.model_copy(update={"nats": Nats(url=SecretStr(own.url))})
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    async with open_app(settings) as app, running(app, discord):
        scene = Scene(discord, app, ada, ada, lab, lab, lab)
        await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
        await ada.send(lab.general, "kept")
        await until_stored(scene, "blue", 1)
        own.keep()
        await ada.send(lab.general, "lost with the power")
        await until_stored(scene, "blue", 2)
        await own.lose_power()
        await own.start()
        await until_stored(scene, "blue", 2)
        assert await contents(scene, "blue") == ["kept", "lost with the power"]
