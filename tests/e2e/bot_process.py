"""`sandbox-bot run` as processes of their own, as an operator runs them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

BOT = [sys.executable, "-m", "bot"]
BOT_WITH_SHORT_LEASES = [sys.executable, "-m", "tests.e2e.short_leases"]


class Process:
    """One that runs, with what it has logged."""

    def __init__(self, process):
        self.process = process
        self.lines: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stderr:
            self.lines.append(line.decode())

    async def stop(self, number=signal.SIGTERM, seconds=20):
        """The exit code and how long it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), seconds)
        await self._reader
        return code, time.monotonic() - started


class Bots:
    """Started in the same folder by the same command and environment, each told apart by its log. Nothing is configured
    but token and `api_base`, unless said otherwise. `async with` kills in the end those that still run."""

    def __init__(self, discord, folder, addresses=(), argv=BOT):
        self._discord, self._folder, self._argv = discord, folder, argv
        self.environment = base_environment(discord) | dict(addresses)
        self.all = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.end()

    async def start(self, **environment):
        """One more, whatever becomes of it."""
        process = await asyncio.create_subprocess_exec(
            *self._argv, "run", cwd=self._folder, env=self.environment | environment, stderr=asyncio.subprocess.PIPE
        )
        self.all.append(Process(process))
        return self.all[-1]

    async def start_connected(self, **environment):
        """One more, which has its session when this returns."""
        before = self._discord.identifies + self._discord.resumes
        bot = await self.start(**environment)
        await self.until(lambda: self._discord.identifies + self._discord.resumes > before, bot)
        return bot

    async def start_owner(self, **environment):
        bot = await self.start(**environment)
        await self.until(lambda: says(bot, "took over shards"), bot)
        await self._discord.wait_ready(20)
        return bot

    async def start_standby(self, **environment):
        bot = await self.start(**environment)
        await self.until(lambda: says(bot, "standby"), bot)
        return bot

    async def until(self, condition, *bots, seconds=120):
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    assert all(bot.process.returncode is None for bot in bots), "a bot has ended"
                    await asyncio.sleep(0.01)
        except (TimeoutError, AssertionError) as error:
            logs = ("".join(bot.lines) for bot in self.all)
            raise AssertionError("\n----\n".join(logs)) from error

    async def end(self):
        for bot in self.all:
            if bot.process.returncode is None:
                with suppress(ProcessLookupError):
                    bot.process.send_signal(signal.SIGCONT)
                await bot.stop(signal.SIGKILL)


def says(bot, text):
    """How often."""
    return sum(text in line for line in bot.lines)


def base_environment(discord):
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("BOT_", "DATABASE_", "NATS_"))}
    return keep | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DISCORD_TOKEN": discord.token,
        "BOT_DISCORD__API_BASE": discord.api_base,
    }


def addresses_of(stores, dsn, *, callout=False):
    """The variables by which a bot comes to the stores as to its operator's own."""
    addresses = {"DATABASE_URL": dsn, "REDIS_URL": stores.redis_url, "NATS_URL": stores.nats_url}
    if callout:
        of = stores.nats_callout
        addresses |= {"NATS_AUTH_URL": of.auth_url, "NATS_SYSTEM_URL": of.system_url}
        addresses["NATS_ACCOUNT_SEED"] = of.account_seed
    return addresses


def servers_in(folder):
    """The commands of the live processes that hold a file of the folder: some change their command line."""
    found = {}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()).startswith(f"{folder}/"):
                found[link.parts[2]] = Path("/proc", link.parts[2], "comm").read_text().strip()
        except OSError:
            continue
    return sorted(found.values())
