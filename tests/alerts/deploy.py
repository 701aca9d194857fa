"""Two bots with split shards are replaced, one after the other, and no alert fires; then a shard has no bot: one does.

    python -m tests.alerts.deploy  # the second half of `make alerts`

On servers of their own, as docs/runbook.md has it. The deploy is watched by the rules as they stand, what follows by
hastened ones. Ends with 1 unless both is right.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from loguru import logger

from local_discord import LocalDiscord
from tests.alerts.prometheus import PROGRAM, Alert, Prometheus
from tests.alerts.rules import DEPLOY, hasten, read_rules
from tests.cluster.rolling import single
from tests.cluster.server import LOOPBACK, free_ports
from tests.e2e.bot_process import Bots, Process, says

SHARDS = 2
_PATIENCE_S = 180.0
_FIRED = 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1h]))'
_UNOWNED = Alert("SandboxShardUnowned 1")


def main() -> None:
    if PROGRAM is None:
        sys.exit("prometheus is not here: install Debian's package of that name")
    logger.remove()
    logging.disable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="alerts-") as folder:
        wrong = asyncio.run(run(Path(folder)))
    sys.exit("\n".join(wrong) if wrong else None)


async def run(folder: Path) -> list[str]:
    """What is wrong, in the end."""
    async with AsyncExitStack() as stack:
        environment = await stack.enter_async_context(single(folder / "stores"))
        discord = await stack.enter_async_context(LocalDiscord(shards=SHARDS))
        fleet = Fleet(discord, folder, environment)
        stack.push_async_callback(fleet.end)
        rules = {"as_written": (DEPLOY / "alerts.yml").read_text(), "hastened": hasten(read_rules())}
        as_written, hastened = [
            await stack.enter_async_context(Prometheus(folder / name, rules=text, targets=fleet.targets))
            for name, text in rules.items()
        ]
        await fleet.start()
        await discord.wait_ready(_PATIENCE_S)
        return [*await deploy(fleet, as_written), *await leave_alone(fleet, hastened)]


class Fleet:
    """A bot for each shard; `targets` also has where the bots listen that follow them."""

    def __init__(self, discord: LocalDiscord, folder: Path, environment: dict[str, str]) -> None:
        self._bots = Bots(discord, folder, environment)
        self._bots.environment |= {"BOT_DISCORD__SHARD_COUNT": str(SHARDS), "BOT_RELAY__LISTEN": "off"}
        self.targets = [f"{LOOPBACK}:{port}" for port in free_ports(2 * SHARDS)]
        self._free = {shard: self.targets[2 * shard : 2 * shard + 2] for shard in range(SHARDS)}
        self.of: dict[int, Process] = {}
        """The bot that has the shard, or is to have it."""

    async def start(self) -> None:
        for shard in range(SHARDS):
            await self.add(shard, "took over shards")

    async def add(self, shard: int, until: str) -> None:
        """One more bot for the shard; returns when it says so."""
        self._free[shard].append(listen := self._free[shard].pop(0))
        own = {"BOT_DISCORD__SHARD_IDS": json.dumps([shard]), "BOT_HEALTH__LISTEN": listen}
        self.of[shard] = bot = await self._bots.start(**own)
        await self._bots.until(lambda: says(bot, until), bot, seconds=_PATIENCE_S)

    async def replace(self, shard: int) -> None:
        """By a standby, which takes over when the one before is stopped."""
        old = self.of[shard]
        await self.add(shard, "standby")
        code, _ = await old.stop(seconds=_PATIENCE_S)
        assert code == 0, "".join(old.lines)
        new = self.of[shard]
        await self._bots.until(lambda: says(new, "took over shards"), new, seconds=_PATIENCE_S)

    async def end(self) -> None:
        await self._bots.end()


async def deploy(fleet: Fleet, prometheus: Prometheus) -> list[str]:
    """Whatever fires by it is wrong."""
    began_at = time.monotonic()
    for shard in range(SHARDS):
        await fleet.replace(shard)
    took_s = time.monotonic() - began_at
    fired = [found["metric"]["alertname"] for found in await prometheus.query(_FIRED)]
    print(f"replaced {SHARDS} bots in {took_s:.0f} s, alerts: {', '.join(fired) or 'none'}", flush=True)  # noqa: T201
    return [f"WRONG: {alert} by a deploy" for alert in fired]


async def leave_alone(fleet: Fleet, prometheus: Prometheus) -> list[str]:
    """The last shard's bot dies, and later another one comes."""
    await fleet.of[1].stop(signal.SIGKILL)
    fired = await prometheus.wait_for(_UNOWNED, firing=True, seconds=_PATIENCE_S)
    await fleet.add(1, "took over shards")
    ended = await prometheus.wait_for(_UNOWNED, firing=False, seconds=_PATIENCE_S)
    print(f"shard 1 without a bot: {_UNOWNED.name} has {'' if fired and ended else 'NOT '}fired and ended")  # noqa: T201
    return [] if fired and ended else [f"WRONG: {_UNOWNED.text}"]


if __name__ == "__main__":
    main()
