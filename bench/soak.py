"""`python -m bench.soak`: kills NATS and the bot under load and counts what is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import nats
import typer
from rich.console import Console
from rich.table import Table

from bench.processes import Json, Process, start
from bench.receiving import GUILDS
from bot import log
from bot.stores.embedded import EmbeddedStores
from bot.stores.embedded.programs import nats_program

_NUMBER = re.compile(rb'"guild_id":"(\d+)","number":(\d+)')


_PATIENCE_S = 10.0
_BEFORE_S = _AFTER_S = 3.0
_LIFE_S = 1.5


@dataclass(frozen=True, slots=True)
class Result:
    what: str
    sent: int
    lost: int
    doubled: int
    out_of_order: int
    identifies: int
    gaps: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        return self.lost == self.doubled == self.out_of_order == self.gaps == 0 and self.identifies == 1


class Nats:
    """A server that can be killed and started again on the same files and port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"nats://127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(nats_program(), "-a", "127.0.0.1", "-p", str(self._port), "-js", "-sd", str(self._folder)),
            stderr=asyncio.subprocess.DEVNULL,
        )
        while not await self._answers():
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True


class Scene:
    """A local Discord that sends at a steady rate, the bot, and its stores."""

    def __init__(self, sender: Process, servers: Nats, addresses: Json) -> None:
        self.sender, self.nats, self._addresses = sender, servers, addresses
        self._is_bound = False

    @asynccontextmanager
    async def bot(self, **more: object) -> AsyncIterator[Process]:
        about = await self.sender.ask("describe")
        config = {"token": about["token"], "api_base": about["api_base"], **self._addresses, **more}
        async with start("tapped", **config) as bot:
            await self.sender.ask("wait_ready")
            if not self._is_bound:
                await bot.ask("bind", owner=about["owner"], guilds=about["guilds"])
                self._is_bound = True
            yield bot

    async def result(self, what: str, seconds: float) -> Result:
        """What was sent against what the streams hold."""
        about = await self.sender.ask("poured")
        sent: dict[str, int] = about["sent"]
        found, gaps = await self._stored()
        lost = sum(len(set(range(count)) - set(found.get(guild, ()))) for guild, count in sent.items())
        doubled = sum(len(numbers) - len(set(numbers)) for numbers in found.values())
        unsorted = sum(a > b for numbers in found.values() for a, b in pairwise(numbers))
        return Result(what, sum(sent.values()), lost, doubled, unsorted, about["identifies"], gaps, seconds)

    async def _stored(self) -> tuple[dict[str, list[int]], int]:
        """The numbers of each guild in their order, and how many gaps are marked."""
        client = await nats.connect(self.nats.url)
        jetstream = client.jetstream()
        found: dict[str, list[int]] = {}
        gaps = 0
        for stream in await jetstream.streams_info():
            events = await jetstream.subscribe(">", stream=str(stream.config.name), ordered_consumer=True)
            for _ in range(stream.state.messages):
                message = await events.next_msg(timeout=10)
                gaps += message.subject.endswith("GATEWAY_GAP")
                if match := _NUMBER.search(message.data):
                    found.setdefault(match[1].decode(), []).append(int(match[2]))
            await events.unsubscribe()
        await client.close()
        return found, gaps

    async def all_stored(self) -> None:
        """No more is sent; until as much is there as was, or nothing more has come for ten seconds."""
        sent = sum((await self.sender.ask("poured"))["sent"].values())
        client = await nats.connect(self.nats.url)
        count, since = -1, time.monotonic()
        while count < sent and time.monotonic() - since < _PATIENCE_S:
            now = sum(stream.state.messages for stream in await client.jetstream().streams_info())
            if now != count:
                count, since = now, time.monotonic()
            await asyncio.sleep(0.1)
        await client.close()


@asynccontextmanager
async def _scene() -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-soak-")))
        own = frozenset({"postgres", "redis"})
        stores = await stack.enter_async_context(EmbeddedStores(folder / "stores", stores=own, durable=False))
        servers = Nats(folder / "nats")
        await servers.start()
        stack.push_async_callback(servers.kill)
        sender = await stack.enter_async_context(start("sender", guilds=GUILDS, kept_events=200_000))
        addresses = {"postgres": stores.database_url, "redis": stores.redis_url, "nats": servers.url}
        yield Scene(sender, servers, addresses)


async def kill_nats(scene: Scene, rate: int, away_s: float, window: int) -> None:
    async with scene.bot(window=window):
        await scene.sender.ask("pour", rate=rate)
        await asyncio.sleep(_BEFORE_S)
        await scene.nats.kill()
        await asyncio.sleep(away_s)
        await scene.nats.start()
        await asyncio.sleep(_AFTER_S)
        await scene.all_stored()


async def kill_bot(scene: Scene, rate: int, kills: int) -> None:
    async with scene.bot() as bot:
        await scene.sender.ask("pour", rate=rate)
        await asyncio.sleep(_LIFE_S)
        bot.kill()
    for _ in range(kills - 1):
        async with scene.bot() as bot:
            await asyncio.sleep(_LIFE_S)
            bot.kill()
    async with scene.bot():
        await scene.all_stored()


type Run = Callable[[Scene], Awaitable[None]]


def runs(short: bool) -> dict[str, Run]:
    """The runs by what they do."""
    away, long, kills = (2, 5, 3) if short else (10, 60, 20)
    return {
        f"NATS killed, away {away} s, 2,000/s": lambda scene: kill_nats(scene, 2000, away, 65_536),
        f"NATS killed, away {long} s, 2,000/s, window 1,000": lambda scene: kill_nats(scene, 2000, long, 1000),
        f"bot killed {kills} times, 500/s": lambda scene: kill_bot(scene, 500, kills),
    }


async def soak(short: bool) -> list[Result]:
    """One run after the other, each with servers of its own."""
    results: list[Result] = []
    for what, run in runs(short).items():
        async with _scene() as scene:
            started_at = time.monotonic()
            await run(scene)
            results.append(await scene.result(what, time.monotonic() - started_at))
    return results


def show(results: list[Result]) -> None:
    table = Table(title="Events of 1.5 KB to 8 sandboxes while servers die", title_justify="left")
    for field in fields(Result):
        table.add_column(field.name.replace("_", " "), justify="left" if field.name == "what" else "right")
    for result in results:
        table.add_row(*(f"{value:,.0f}" if isinstance(value, float) else str(value) for value in astuple(result)))
    Console(width=120).print(table)


def main(
    short: Annotated[bool, typer.Option("--short", help="Seconds instead of minutes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list of results instead of the table.")] = False,
) -> None:
    """Kill servers under load. Ends with 1 if anything is lost, doubled or out of order."""
    log.configure("ERROR")
    results = asyncio.run(soak(short))
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], indent=1))
    else:
        show(results)
    sys.exit(not all(result.is_clean for result in results))


if __name__ == "__main__":
    typer.run(main)
