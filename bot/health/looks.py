"""What is known in this process without asking anybody: the gateway's sessions, the routes, and that the bot runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from bot import constants
from bot.findings import Finding, failure, ok
from bot.routing.leases import GatewayLeases
from bot.routing.watcher import RouteWatcher
from bot.stores.leases import Claimant


class GatewayLook:
    """Whether the shards that this bot has the leases of are connected. A bot without any is a standby of another's."""

    def __init__(self, leases: GatewayLeases, connected: Callable[[], Collection[int]]) -> None:
        """`connected`: the shards in whose sessions events come."""
        self._leases, self._connected = leases, connected

    def look(self) -> Finding:
        """A `Look`."""
        held = sorted(self._leases.held)
        if not held:
            return self._standby()
        if missing := sorted(set(held).difference(self._connected())):
            return failure(f"not connected: {_shards(missing)}")
        return ok(f"connected: {_shards(held)}")

    def _standby(self) -> Finding:
        if self._leases.others is None:
            return failure("it isn't known yet which shards are this bot's")
        if owners := [one for one in self._leases.others if one.held]:
            return ok(f"standby: {'; '.join(map(_owner, owners))}")
        return failure("no bot has a shard")


class StopLook:
    """Whether the bot goes on."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def look(self) -> Finding:
        """A `Look`."""
        return failure("stopping") if self._stop.is_set() else ok("running")


class RoutesLook:
    """Whether the route table is up to date."""

    def __init__(self, watcher: RouteWatcher) -> None:
        self._watcher = watcher

    def look(self) -> Finding:
        """A `Look`."""
        age_s = self._watcher.age_s
        told = f"read {age_s:.1f} s ago"
        return ok(told) if age_s < constants.ROUTES_FRESH_FOR_S else failure(told)


def _owner(bot: Claimant) -> str:
    return f"{bot.name} runs {_shards(bot.held)} of {bot.claim.total}"


def _shards(shard_ids: Collection[int]) -> str:
    return f"shard{'' if len(shard_ids) == 1 else 's'} {', '.join(map(str, sorted(shard_ids)))}"
