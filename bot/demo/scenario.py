"""Everything that the tour needs, really running: embedded stores, a local Discord, the bot, and two workers."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from dotenv import dotenv_values
from nats.js.client import JetStreamContext
from pydantic import SecretStr

import sandbox_worker
from bot.app import App, open_app
from bot.demo.bots import command_of
from bot.sandboxes.model import Sandbox
from bot.settings import Discord, Embedded, Relay, Routing, Sandboxes, Settings
from local_discord import Guild, LocalDiscord, Person

GRACE = timedelta(seconds=2)
_EVERY = timedelta(milliseconds=200)
_TIMEOUT_S = 10.0
"""For what takes milliseconds: a slow machine passes, a broken step ends the tour."""


@dataclass
class Scenario:
    """Ada and Bob are developers, Olga owns the application and so is the bot's admin. `lobby` is bound to nothing.

    `workers` are by the name of their sandbox.
    """

    discord: LocalDiscord
    app: App
    ada: Person
    bob: Person
    olga: Person
    lab: Guild
    arcade: Guild
    attic: Guild
    lobby: Guild
    stack: AsyncExitStack
    workers: dict[str, Worker] = field(default_factory=dict)
    bots: list[asyncio.subprocess.Process] = field(default_factory=list)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    """What `/sandbox connect` has handed out, by the name of the sandbox."""

    async def start_bot(self, name: str, program: Path) -> None:
        """An ordinary bot in a process of its own, which knows no more than the sandbox's environment."""
        environment = {**os.environ, **self.environments[name]}
        process = await asyncio.create_subprocess_exec(*command_of(program), env=environment)
        self.bots.append(process)

    async def end_bots(self) -> None:
        """Safe to repeat."""
        for process in self.bots:
            await _end(process)

    async def start_worker(self, sandbox: Sandbox, dotenv: str) -> Worker:
        """A worker that knows no more than `dotenv`, the text of the file that `/sandbox connect` has attached."""
        environ = {name: value for name, value in dotenv_values(stream=io.StringIO(dotenv)).items() if value}
        self.environments[sandbox.name] = environ
        kit = await self.stack.enter_async_context(sandbox_worker.Sandbox.from_env(environ, dotenv=Path(os.devnull)))
        worker = self.workers[sandbox.name] = Worker(sandbox, kit, self.app.stores.nats.jetstream())
        return worker


class Worker:
    """A worker written with the kit, beside which the tour looks into its stream with the bot's own rights."""

    def __init__(self, sandbox: Sandbox, kit: sandbox_worker.Sandbox, jetstream: JetStreamContext) -> None:
        self.sandbox, self.kit, self._jetstream = sandbox, kit, jetstream
        self._events = kit.events()

    async def receive(self, name: str) -> sandbox_worker.Event:
        """The next event of that name, what comes before it being acknowledged; `TimeoutError` if there is none."""
        async with asyncio.timeout(_TIMEOUT_S):
            async for event in self._events:
                await event.ack()
                if event.name == name:
                    return event
        raise TimeoutError

    def subject_of(self, event: sandbox_worker.Event) -> str:
        """The NATS subject on which it came."""
        return self.kit.environment.event_prefix + event.name

    async def count(self) -> int:
        """How many events its stream has ever had, which the worker itself may not ask."""
        return (await self._jetstream.stream_info(self.sandbox.stream)).state.last_seq


@asynccontextmanager
async def open_scenario(progress: Callable[[str], None], *, grace: timedelta = GRACE) -> AsyncIterator[Scenario]:
    """Starts everything in a temporary folder and removes it again. `progress` is told what is being started."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-demo-")))
        progress("starting a local Discord")
        discord = await stack.enter_async_context(LocalDiscord())
        discord.settings.refuses_unknown_fields = False  # libraries of bots in a sandbox send some of their own
        progress("starting PostgreSQL, Valkey and NATS from their wheels")
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        app = await stack.enter_async_context(open_app(_settings(discord, folder, listening, grace)))
        scenario = _populate(discord, app, stack)
        progress("starting the bot, an unmodified discord.py client")
        running = asyncio.create_task(app.run())
        stack.push_async_callback(_stop, app, running)
        stack.push_async_callback(scenario.end_bots)
        await _until_ready(asyncio.create_task(discord.wait_ready(_TIMEOUT_S)), running)
        yield scenario


def _populate(discord: LocalDiscord, app: App, stack: AsyncExitStack) -> Scenario:
    discord.owner.name, discord.bot_user.name = "olga", "sandbox-bot"
    ada, bob = discord.add_person("ada"), discord.add_person("bob")
    lab, lobby = discord.add_guild("Ada's Lab", owner=ada), discord.add_guild("Lobby", owner=discord.owner)
    arcade, attic = (discord.add_guild(name, owner=bob) for name in ("Bob's Arcade", "Bob's Attic"))
    lobby.add_member(bob)
    return Scenario(discord, app, ada, bob, discord.owner, lab, arcade, attic, lobby, stack)


async def _until_ready(ready: asyncio.Task[None], running: asyncio.Task[None]) -> None:
    """Raises the error that keeps the bot from becoming ready."""
    await asyncio.wait({ready, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        ready.cancel()
        running.result()
    await ready


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _stop(app: App, running: asyncio.Task[None]) -> None:
    app.stop.set()
    await running


def _settings(discord: LocalDiscord, folder: Path, listening: socket.socket, grace: timedelta) -> Settings:
    """The defaults but for what somebody who watches would have to wait for, and a port that nobody has."""
    host, port = listening.getsockname()
    return Settings(
        discord=Discord(token=SecretStr(discord.token), api_base=discord.api_base),
        sandboxes=Sandboxes(grace=grace, sweep_every=_EVERY, activity_every=_EVERY),
        embedded=Embedded(folder=folder / "stores", durable=False),
        relay=Relay(listen=f"fd:{listening.fileno()}", address=f"http://{host}:{port}"),
        routing=Routing(reload_every=timedelta(seconds=30)),
    )
