"""`sandbox-bot demo`: the main job, walked through step by step, each step checked as it is shown."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from loguru import logger

from bot.demo.scenario import Scenario, open_scenario
from bot.demo.steps import Steps
from bot.demo.transcript import Transcript
from bot.demo.walk import StepFailed
from bot.stores.urls import with_database


async def run_tour(*, keep: bool = False, svg: Path | None = None) -> int:
    """The exit code: 0 if every step passed. `keep` leaves everything running until Ctrl+C.

    Whoever ends the process by SIGTERM or closes the terminal finds nothing left behind either.
    """
    tour = asyncio.create_task(_run(keep, svg))
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, tour.cancel)
    try:
        return await tour
    except asyncio.CancelledError:
        if tour.cancelled() and not _is_interrupted():
            return 1
        raise


def _is_interrupted() -> bool:
    """Whether Ctrl+C has ended it, which `asyncio.run` reports by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _run(keep: bool, svg: Path | None) -> int:
    transcript = Transcript()
    transcript.note(
        "Two developers share one bot. Everything below really happens: PostgreSQL, Valkey and NATS are real, the bot "
        "is the one you would run, and only Discord is a local one."
    )
    async with open_scenario(transcript.progress) as scenario:
        transcript.people = {person.id: person.name for person in (scenario.ada, scenario.bob, scenario.olga)}
        steps = Steps(scenario, transcript).in_order
        passed = await _walk(steps, transcript)
        transcript.summary(passed, len(steps))
        if svg:
            transcript.save_svg(svg)
            transcript.note(f"The picture is in {svg}.")
        if keep:
            await _keep_running(scenario, transcript)
        else:
            transcript.note("Now you: this opens it in a page, to act in it yourself.")
            transcript.command("make play")
    return 0 if passed == len(steps) else 1


async def _walk(steps: Sequence[tuple[str, Callable[[], Awaitable[None]]]], transcript: Transcript) -> int:
    """How many steps passed: the first that fails ends the tour."""
    for number, (title, step) in enumerate(steps, 1):
        transcript.step(number, title)
        try:
            await step()
        except (StepFailed, TimeoutError) as error:
            transcript.failure(str(error) or "nothing happened in time")
            return number - 1
        except Exception as error:
            logger.opt(exception=error).error("the tour failed", step=number)
            transcript.failure(f"{type(error).__name__}: {error}")
            return number - 1
    return len(steps)


async def _keep_running(scenario: Scenario, transcript: Transcript) -> None:
    """Says how to look around, and waits for Ctrl+C."""
    addresses, worker = scenario.app.stores.addresses, scenario.workers["leaderboard"]
    transcript.note("")
    transcript.note("Everything goes on running. Look around from another terminal:")
    transcript.command(f"psql '{addresses.postgres}' -c 'TABLE sandbox_overview'")
    transcript.command(f"redis-cli -u '{with_database(addresses.redis, worker.sandbox.redis_database)}' --scan")
    transcript.command(f"nats --server '{addresses.nats}' stream view {worker.sandbox.stream}")
    transcript.note(f"  the local Discord answers at {scenario.discord.api_base}")
    transcript.note("Ctrl+C ends it and leaves nothing behind.")
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
