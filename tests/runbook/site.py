"""Two bots with split shards, a relay, stores of their own, and a developer's worker and bot that have to live on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bot.certificates import write_certificates
from local_discord import Guild, LocalDiscord, Person
from tests.cluster.events import EVENT
from tests.cluster.server import LOOPBACK, free_ports
from tests.cluster.worker import Worker
from tests.e2e.bot_process import Process
from tests.e2e.conftest import environment_in
from tests.e2e.relay.processes import RelayProcess
from tests.e2e.relay.raw_bot import LivingBot
from tests.runbook.entries import Entry
from tests.runbook.stores import Stores, open_stores

SHARDS = 2
PATIENCE_S = 120.0
_ROOT = Path(__file__).parents[2]
_OF_THE_BOT = ("BOT_", "DISCORD_", "DATABASE_", "REDIS_", "NATS_")
_LOOK_EVERY_S = 0.1


class RelayedBot(LivingBot):
    """Trusts the installation's own authority."""

    def __init__(self, environment: dict[str, str], authority: Path) -> None:
        super().__init__(environment)
        self._authority = authority

    async def __aenter__(self) -> RelayedBot:
        trusted = ssl.create_default_context(cafile=str(self._authority))
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted))
        return self


@dataclass(slots=True)
class Site:
    """`lab` is on shard 1, `attic` on shard 0, each bound to the sandbox of its name."""

    folder: Path
    discord: LocalDiscord
    ada: Person
    lab: Guild
    attic: Guild
    stores: Stores | None
    """None: embedded ones."""
    settings: dict[str, str]
    """Of all processes, in `.env`."""
    ports: dict[str, int]
    """Of health by process, and of the relay."""
    processes: dict[str, Process] = field(default_factory=dict)
    ended: list[Process] = field(default_factory=list)
    worker: Worker = field(init=False)
    relayed: RelayedBot = field(init=False)
    sent: int = 0

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def environment(self) -> dict[str, str]:
        """Of a command: everything else stands in `.env`."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_BOT)}
        return own | {"PYTHONPATH": str(_ROOT)}

    def write_env(self) -> None:
        """As an operator who has changed something."""
        if self.stores is not None:
            self.settings |= self.stores.variables
        text = "".join(f"{name}='{value}'\n" for name, value in self.settings.items())
        (self.folder / ".env").write_text(text)

    async def start(self, name: str, *, until: str, **changes: str) -> Process:
        """A bot, or the relay; returns when it has said that."""
        command = "relay" if name == "relay" else "run"
        listens = {"BOT_HEALTH__LISTEN": f"{LOOPBACK}:{self.ports[name]}"}
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.runbook.bot", command),
            cwd=self.folder,
            env=self.environment | listens | changes,
            stderr=asyncio.subprocess.PIPE,
        )
        process = RelayProcess(started, "") if command == "relay" else Process(started)
        self.processes[name] = process
        await self.until(lambda: says(process, until), f"{name} says “{until}”", process)
        return process

    async def start_bot(self, shard: int, *, name: str = "", until: str = "ready: ", **changes: str) -> Process:
        ids = {"BOT_DISCORD__SHARD_IDS": json.dumps([shard])}
        return await self.start(name or f"bot-{shard}", until=until, **(ids | changes))

    async def start_relay(self) -> None:
        await self.start("relay", until="ready: ", BOT_RELAY__LISTEN=f"{LOOPBACK}:{self.ports['serving']}")

    async def start_bots(self) -> None:
        async with asyncio.TaskGroup() as group:
            for shard in range(SHARDS):
                group.create_task(self.start_bot(shard))

    async def restart_relay(self) -> None:
        """By SIGHUP; returns when the next one serves."""
        relay = self.processes["relay"]
        before = says(relay, "ready: ")
        relay.process.send_signal(signal.SIGHUP)
        await self.until(lambda: says(relay, "ready: ") > before, "the relay serves again", relay)

    async def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code."""
        process = self.processes.pop(name)
        self.ended.append(process)
        await process.stop(number, PATIENCE_S)
        return int(process.process.returncode)

    async def stop_bots(self) -> None:
        codes = await asyncio.gather(*(self.stop(name) for name in list(self.processes) if name != "relay"))
        assert not any(codes), codes

    async def ends(self, name: str) -> int:
        """By itself: the exit code."""
        process = self.processes.pop(name)
        self.ended.append(process)
        async with asyncio.timeout(PATIENCE_S):
            return int(await process.process.wait())

    async def end(self) -> None:
        for name, process in list(self.processes.items()):
            if process.process.returncode is None:
                await self.stop(name, signal.SIGKILL if name != "relay" else signal.SIGTERM)

    async def health(self, name: str) -> dict[str, Any]:
        """What `/readyz` says; nothing while nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{LOOPBACK}:{self.ports[name]}/readyz") as answer,
            ):
                return dict(await answer.json())
        except aiohttp.ClientError:
            return {}

    async def ready(self, *names: str) -> None:
        """Returns when each is."""
        for name in names:
            await self.until(lambda name=name: self._is_ready(name), f"{name} is ready", self.processes[name])

    async def not_ready(self, name: str, check: str, detail: str) -> None:
        """Returns when it says so of that check."""

        async def is_told() -> bool:
            told = (await self.health(name)).get("checks", {}).get(check, {})
            return not told.get("ok", True) and detail in told["detail"]

        await self.until(is_told, f"/readyz of {name}: {check}: {detail}", self.processes[name])

    async def run(self, words: list[str], *, code: int | None = 0) -> str:
        """What a command of the operator's says; `AssertionError` if it ends with another code (None: any will do)."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=self.folder,
            env=self.environment | {"PATH": path},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            told, complaints = await process.communicate()
        assert code in (process.returncode, None), f"{words}: {process.returncode}: {(told + complaints).decode()}"
        return told.decode()

    async def type(
        self, entry: Entry, command: str, *more: str, tells: Sequence[str] = (), code: int | None = 0, **values: str
    ) -> str:
        """A command of the entry's, and what it says, which has to have these texts; lines are as long as they want."""
        told = await self.run([*entry.words(command, **values), *more], code=code)
        missing = [text for text in tells if text not in " ".join(told.split())]
        assert not missing, f"{command}: it does not say {missing}:\n{told}"
        return told

    async def lives(self) -> None:
        """Events of both shards come to where they belong, and commands are answered."""
        for guild in (self.lab, self.attic):
            await self.until(lambda guild=guild: self._is_answered(guild), f"an answer in {guild.name}")
        number, self.sent = self.sent, self.sent + 1
        data = {"guild_id": str(self.lab.id), "channel_id": "1", "id": "1", "content": "x", "number": number}
        await self.discord.dispatch(EVENT, data, guild_id=self.lab.id)
        await self.until(lambda: number in self.relayed.numbers, "the event reaches the developer's bot")
        await self.until(lambda: number in self.worker.numbers or self.worker.ended, "the event reaches the worker")
        assert not self.worker.ended, f"the worker has ended: {self.worker.ended}"

    async def until(
        self,
        condition: Callable[[], object] | Callable[[], Awaitable[object]],
        what: str,
        process: Process | None = None,
    ) -> None:
        """`AssertionError` with what was waited for, if it does not come, or the process ends."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await _value(condition):
                    assert process is None or process.process.returncode is None, "it has ended"
                    await asyncio.sleep(_LOOK_EVERY_S)
        except (TimeoutError, AssertionError) as error:
            said = "" if process is None else "".join(process.lines[-12:])
            raise AssertionError(f"not seen: {what} {error}\n{said}") from error

    async def _is_answered(self, guild: Guild) -> bool:
        reply = await self.ada.command("sandbox list", channel=guild.general)
        return reply.message is not None

    async def _is_ready(self, name: str) -> bool:
        return bool((await self.health(name)).get("ready"))


def says(process: Process, text: str) -> int:
    """How often."""
    return sum(text in line for line in process.lines)


async def _value(condition: Callable[[], object]) -> object:
    found = condition()
    return await found if isinstance(found, Awaitable) else found


@asynccontextmanager
async def open_site(folder: Path, mount: Callable[[Path], object]) -> AsyncIterator[Site]:
    """`mount` is given the folder of NATS before that starts."""
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(LocalDiscord(shards=SHARDS))
        ada = discord.add_person("ada")
        discord.add_to_team(ada)
        attic, lab = (discord.add_guild(name, owner=ada) for name in ("attic", "lab"))
        write_certificates(folder / "certificates", [LOOPBACK])
        mount(Stores(folder / "stores", folder / "certificates").nats_folder)
        stores = await stack.enter_async_context(open_stores(folder / "stores", folder / "certificates"))
        names = ("bot-0", "bot-1", "new-0", "new-1", "relay", "serving")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        site = Site(folder, discord, ada, lab, attic, stores, _settings(discord, folder, ports), ports)
        site.write_env()
        stack.push_async_callback(site.end)
        await site.start_bots()
        await site.start_relay()
        await _open_sandboxes(site, stack)
        yield site


def _settings(discord: LocalDiscord, folder: Path, ports: dict[str, int]) -> dict[str, str]:
    return {
        "DISCORD_TOKEN": discord.token,
        "BOT_DISCORD__API_BASE": discord.api_base,
        "BOT_DISCORD__SHARD_COUNT": str(SHARDS),
        "BOT_TLS__CA": str(folder / "certificates" / "ca.pem"),
        "BOT_RELAY__LISTEN": "off",
        "BOT_RELAY__ADDRESS": f"https://{LOOPBACK}:{ports['serving']}",
        "BOT_RELAY__CERTIFICATE": str(folder / "certificates" / "relay.pem"),
        "BOT_RELAY__KEY": str(folder / "certificates" / "relay.key"),
        "BOT_SANDBOXES__GRACE": "5s",
        "BOT_SANDBOXES__MEND_EVERY": "5s",
        "BOT_LOG__JSON_LINES": "false",
    }


async def _open_sandboxes(site: Site, stack: AsyncExitStack) -> None:
    for guild in (site.lab, site.attic):
        await site.ada.command("sandbox create", channel=guild.general, name=guild.name, bind_here=True)
    environment = await connect(site, "lab")
    authority = site.certificates / "ca.pem"
    site.worker = Worker(environment | {"SANDBOX_TLS_CA": str(authority)})
    site.relayed = await stack.enter_async_context(RelayedBot(environment, authority))
    for living in (site.worker.work(), site.relayed.live()):
        task = asyncio.create_task(living)
        stack.callback(task.cancel)
    await site.lives()


async def connect(site: Site, sandbox: str) -> dict[str, str]:
    """Credentials that were not shown before."""
    reply = await site.ada.command("sandbox connect", channel=site.lab.general, sandbox=sandbox)
    while reply.failed:  # too late for Discord, where the machine is busy
        reply = await site.ada.command("sandbox connect", channel=site.lab.general, sandbox=sandbox)
    return {name: value for name, value in environment_in(reply).items() if value is not None}
