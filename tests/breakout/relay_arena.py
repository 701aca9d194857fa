"""Two sandboxes on one relay: A attacks, B lives in it, and every byte that goes to a client is kept."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from loguru import logger
from pydantic import SecretStr

from bot.app import open_app
from bot.relay.server import RelayStores, serve_relay
from bot.sandboxes.access.tokens import make_bot_token
from bot.sandboxes.model import Actor
from bot.settings import Discord, Log, Settings
from bot.stores.nats_client import close_nats, open_nats
from bot.supervisor import Supervisor
from local_discord import LocalDiscord
from tests.conftest import store_settings

REAL_TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAw.the-real-one.of-the-application"
SECRET = "xanadu"
"""Stands in all that is B's and readable."""


class Line:
    """Passes bytes between clients and the relay, and keeps what goes to clients."""

    def __init__(self, port):
        self._port = port
        self.told = bytearray()
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(task := asyncio.current_task())
        with suppress(OSError):
            relays_reader, relays_writer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(self._pump(reader, relays_writer, None), self._pump(relays_reader, writer, self.told))
        self._tasks.discard(task)

    async def _pump(self, reader, writer, kept):
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if kept is not None:
                    kept += data
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.close()


@dataclass
class Arena:
    """`names` are for the placeholders of tries: what an attacker may know, and more."""

    discord: LocalDiscord
    app: Any
    relay: Any
    line: Line
    ada: Any
    bob: Any
    lab: Any
    arcade: Any
    token: str = ""
    victims_token: str = ""
    names: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    heard: list[dict] = field(default_factory=list)
    """What B's bot, which is connected all the time, was told."""

    @property
    def base(self):
        return f"http://127.0.0.1:{self.line.port}/api/v10"

    async def new_token(self, sandbox, owner):
        details = await self.app.manager.issue_credentials(Actor(owner.id, owner.name), sandbox.id, rotate=True)
        secret = details.environment["SANDBOX_NATS_URL"].split(":")[2].split("@")[0]
        return make_bot_token(self.discord.application_id, sandbox.id.hex[:8], secret)

    async def ask(self, method, path, token=None, **options):
        """Status and body, as A unless another token is given."""
        headers = {"Authorization": f"Bot {token or self.token}", **options.pop("headers", {})}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.base + path, headers=headers, **options) as response,
        ):
            return response.status, await response.read()

    async def raw(self, data, seconds=5.0):
        """All that comes back until the relay hangs up, or says nothing any more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.line.port)
        told = b""
        try:
            writer.write(data)
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(seconds):
                    while part := await reader.read(1 << 16):
                        told += part
        finally:
            writer.close()
        return told

    def of_b(self):
        """Everything in Discord that is B's, and what the team's own bot has said."""
        channels = [*self.arcade.channels.values(), *self.arcade.threads.values()]
        world = self.discord.world
        return json.dumps(
            [
                self.arcade.payload(),
                [channel.payload() for channel in channels],
                [message.payload() for channel in channels for message in channel.messages.values()],
                [message.payload() for message in self.bob.dm_channel.messages.values()],
                [webhook.payload() for webhook in world.webhooks.listing(*self.arcade.channels.values())],
                [member.payload() for member in self.arcade.members.values()],
                [str(user) for user in self.arcade.bans],
                self.discord.commands,
                self.discord.guild_commands.get(self.arcade.id),
                self.discord.bot_user.payload(),
                self.lab.channels[self.names["a_channel"]].messages[self.names["p_message"]].payload(),
            ],
            default=str,
        )


@asynccontextmanager
async def open_arena(stores, dsn):
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(LocalDiscord(token=REAL_TOKEN))
        ada, bob = discord.add_person("ada"), discord.add_person("bob")
        lab, arcade = discord.add_guild("Ada's Lab", owner=ada), discord.add_guild(f"Bob's {SECRET}", owner=bob)
        for guild in (lab, arcade):
            guild.add_member(discord.bot_user, permissions=["administrator"])
        settings = Settings(
            discord=Discord(token=SecretStr(REAL_TOKEN), api_base=discord.api_base),
            **store_settings(stores, dsn),
            log=Log(),
        )
        app = await stack.enter_async_context(open_app(settings))
        running = asyncio.create_task(app.run())
        stack.push_async_callback(_stop, app, running)
        await discord.wait_ready(15)
        listening = socket.create_server(("127.0.0.1", 0))
        line = await stack.enter_async_context(Line(listening.getsockname()[1]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bot.constants.RELAY_IDLE_CONNECTION_S", 1.0)
            relay = await stack.enter_async_context(_relay(app, listening))
        arena = Arena(discord, app, relay, line, ada, bob, lab, arcade)
        sink = logger.add(lambda text: arena.log.append(str(text)), level="DEBUG", format="{message} {extra}")
        stack.callback(logger.remove, sink)
        await _furnish(arena, stack)
        yield arena


@asynccontextmanager
async def _relay(app, listening):
    stores = app.stores
    nats = await open_nats(stores.addresses.nats, name="sandbox-relay")
    try:
        async with (
            Supervisor() as supervisor,
            serve_relay(
                RelayStores(stores.pool, stores.redis, nats),
                supervisor,
                app.settings,
                listening=listening,
                address="http://{}:{}".format(*listening.getsockname()),
            ) as relay,
        ):
            yield relay
    finally:
        await close_nats(nats)


async def _stop(app, running):
    app.stop.set()
    await running


async def _furnish(arena, stack):
    """B has one of everything, and a bot that is connected."""
    manager, discord = arena.app.manager, arena.discord
    a = await manager.create(Actor(arena.ada.id, "ada"), name="attacker", guild_ids=[arena.lab.id])
    b = await manager.create(Actor(arena.bob.id, "bob"), name="victim", guild_ids=[arena.arcade.id])
    arena.token, arena.victims_token = await arena.new_token(a, arena.ada), await arena.new_token(b, arena.bob)

    async def as_b(method, path, data, status=200):
        told, body = await arena.ask(method, path, arena.victims_token, json=data)
        assert told == status, body
        return json.loads(body)

    general = arena.arcade.general
    hook = await as_b("POST", f"/channels/{general.id}/webhooks", {"name": f"{SECRET} hook"})
    message = await as_b("POST", f"/channels/{general.id}/messages", {"content": f"{SECRET} words"})
    thread = await as_b("POST", f"/channels/{general.id}/threads", {"name": SECRET, "type": 11}, 201)
    direct = await as_b("POST", "/users/@me/channels", {"recipient_id": str(arena.bob.id)})
    written = await as_b("POST", f"/channels/{direct['id']}/messages", {"content": f"{SECRET} whispered"})
    arena.names = {
        "a_guild": arena.lab.id, "a_channel": arena.lab.general.id, "b_guild": arena.arcade.id, "b_channel": general.id,
        "b_message": message["id"], "b_thread": thread["id"], "b_dm": direct["id"], "b_written": written["id"],
        "b_hook": hook["id"], "b_hook_token": hook["token"], "b_role": arena.arcade.id, "b_user": arena.bob.id,
        "a_user": arena.ada.id, "bot": discord.bot_user.id,
        "app": discord.application_id, "other_app": 123456789012345678,
        "a_token": arena.token, "b_token": arena.victims_token, "host": f"127.0.0.1:{arena.line.port}",
    }  # fmt: skip
    own = await _as_production(arena, f"/channels/{arena.lab.general.id}/messages", {"content": "the team's"})
    news = arena.lab.add_channel("news", kind=5)
    made = arena.lab.channels[arena.lab.general.id]
    status, told = await arena.ask("POST", f"/channels/{made.id}/webhooks", json={"name": "mine"})
    assert status == 200
    mine = json.loads(told)
    arena.names |= {"p_message": int(own["id"]), "a_news": news.id, "a_hook": mine["id"], "a_hook_token": mine["token"]}
    await _connect_b(arena, stack)


async def _connect_b(arena, stack):
    session = await stack.enter_async_context(aiohttp.ClientSession())
    socket_ = await session.ws_connect(f"{arena.relay.address}/?v=10", max_msg_size=0)
    await socket_.send_json(
        {"op": 2, "d": {"token": arena.victims_token, "intents": 1 << 0 | 1 << 9 | 1 << 15, "properties": {}}}
    )
    reading = asyncio.create_task(_read(socket_, arena.heard))
    stack.push_async_callback(_cancel, reading, socket_)
    await until(lambda: any(each.get("t") == "GUILD_CREATE" for each in arena.heard))
    ready = next(each for each in arena.heard if each.get("t") == "READY")
    await arena.bob.use_foreign_command("score", channel=arena.arcade.general)
    await until(lambda: any(each.get("t") == "INTERACTION_CREATE" for each in arena.heard))
    interaction = next(each["d"] for each in arena.heard if each.get("t") == "INTERACTION_CREATE")
    answer = {"type": 4, "data": {"content": f"{SECRET} answered"}}
    path = f"/interactions/{interaction['id']}/{interaction['token']}/callback"
    assert (await arena.ask("POST", path, arena.victims_token, json=answer))[0] == 204
    arena.names |= {
        "b_session": ready["d"]["session_id"],
        "b_interaction": interaction["id"],
        "b_interaction_token": interaction["token"],
    }


async def _read(socket_, heard):
    async for message in socket_:
        heard.append(json.loads(message.data))


async def _cancel(task, socket_):
    await socket_.close()
    await task


async def _as_production(arena, path, data):
    headers = {"Authorization": f"Bot {REAL_TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(arena.discord.api_base + path, json=data) as response,
    ):
        return await response.json()


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@contextmanager
def watched(arena):
    """Nothing is told that isn't A's, and nothing has changed that isn't A's."""
    told, logged, asked = len(arena.line.told), len(arena.log), len(arena.discord.requests)
    before = arena.of_b()
    yield
    seen, lines = bytes(arena.line.told[told:]), "".join(arena.log[logged:])
    for secret in (REAL_TOKEN, REAL_TOKEN.rpartition(".")[2]):
        assert secret.encode() not in seen
        assert secret not in lines
    assert SECRET.encode() not in seen
    assert arena.of_b() == before
    foreign = {str(arena.names[key]) for key in ("b_guild", "b_channel", "b_thread", "b_dm", "b_hook")}
    questions = {("GET", 200), ("GET", 404)}
    for method, path, status in arena.discord.requests[asked:]:
        assert ".." not in path
        if foreign & set(path.split("/")):
            assert (method, status) in questions, f"{method} {path} has reached Discord"
