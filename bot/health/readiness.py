"""Whether the bot is ready to do its work: each thing that takes, with what is wrong and since when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bot import constants
from bot.errors import ServiceUnavailable
from bot.findings import Finding, failure, ok
from bot.health.readyz import Check, tell
from bot.health.server import HealthServer
from bot.supervisor import Part, State, Supervisor

type Probe = Callable[[], Awaitable[object]]
"""Returns when a store does its work; `ServiceUnavailable`."""
type Look = Callable[[], Finding]


def start_readiness(
    server: HealthServer, supervisor: Supervisor, *, probes: Mapping[str, Probe], looks: Mapping[str, Look]
) -> Readiness:
    """From now on `/readyz` says how these, and the supervised parts, are."""
    readiness = Readiness(probes, looks, supervisor.parts)
    server.routes["/readyz"] = readiness.answer
    supervisor.start("health", readiness.run)
    return readiness


class Readiness:
    """What is asked of stores, what can be looked at, and the supervised parts."""

    def __init__(self, probes: Mapping[str, Probe], looks: Mapping[str, Look], parts: Mapping[str, Part]) -> None:
        """`probes` and `looks` by the names of their checks."""
        self._probes, self._looks, self._parts = probes, looks, parts
        self._checks = {name: Check() for name in (*looks, *probes)}

    async def run(self, part: Part) -> None:
        """Ask all stores for ever, side by side, each again when it has answered or its time is over."""
        async with asyncio.TaskGroup() as group:
            for name, probe in self._probes.items():
                group.create_task(_keep_asking(probe, self._checks[name]))
            while True:
                self._look()
                part.running()
                await asyncio.sleep(constants.HEALTH_LOOKED_AT_EVERY_S)

    def checks(self) -> dict[str, Check]:
        """All of them as they are now, by name."""
        going_on = [part for part in self._parts.values() if part.state is not State.STOPPED]
        return self.whole() | {f"part {part.name}": _check_of(part) for part in going_on}

    def whole(self) -> dict[str, Check]:
        """Those of the bot as a whole, without its parts."""
        self._look()
        return self._checks

    async def answer(self, _: web.Request) -> web.Response:
        """A `Handler`: 200 if all is well, 503 if not, and all checks in any case."""
        return tell(self.checks())

    def _look(self) -> None:
        for name, look in self._looks.items():
            self._checks[name].note(look())


async def _keep_asking(probe: Probe, check: Check) -> None:
    while True:
        check.note(await _ask(probe))
        await asyncio.sleep(constants.HEALTH_LOOKED_AT_EVERY_S)


async def _ask(probe: Probe) -> Finding:
    try:
        async with asyncio.timeout(constants.HEALTH_ANSWER_WITHIN_S):
            await probe()
    except TimeoutError:
        return failure(f"no answer within {constants.HEALTH_ANSWER_WITHIN_S} s")
    except ServiceUnavailable as error:
        return failure(error.detail if error.lack is None else f"no {error.lack} left: {error.detail}")
    return ok("takes changes")


def _check_of(part: Part) -> Check:
    detail = part.trouble if part.state is State.FAILING else str(part.state)
    return Check(part.state is State.RUNNING, detail, part.since)
