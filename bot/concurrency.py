"""Many at a time, but not too many; and one of several."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any


async def gather_bounded[ItemT, ResultT](
    items: Iterable[ItemT], work: Callable[[ItemT], Awaitable[ResultT]], *, limit: int
) -> list[ResultT | BaseException]:
    """What became of each item, in order, with at most `limit` under way; an exception ends none of the others."""
    turn = asyncio.Semaphore(limit)

    async def wait_and_work(item: ItemT) -> ResultT:
        async with turn:
            return await work(item)

    return await asyncio.gather(*(wait_and_work(item) for item in items), return_exceptions=True)


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Returns when one of them has ended, and raises what it has raised. All others are cancelled, and over then."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def failures(outcomes: Iterable[object]) -> list[BaseException]:
    """The exceptions among what has become of many, in order."""
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


def raise_first(outcomes: Iterable[object]) -> None:
    """Raise the first exception among what has become of many, if there is one: all of them have been tried."""
    for failure in failures(outcomes):
        raise failure
