"""What the bot keeps of sandboxes, interactions and events ends with them: counted, for memory itself says little."""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from functools import partial

import asyncpg
import pytest

from bot import constants
from tests.e2e.conftest import title

LIBRARIES = ("bot", "sandbox_worker", "discord", "nats")
"""Without those of the pools, which have as many connections as were needed at once."""
WARM_UP, ROUNDS = 2, 10
BOUNDED = {"REMEMBERED_FORWARDED": 4, "REMEMBERED_CHANNELS": 4}


def is_counted(kind):
    return str(kind.__module__).partition(".")[0] in LIBRARIES


def kept():
    """Objects of ours and of the libraries that the bot lives in, and what their tables have in all, by name."""
    found = Counter[str]()
    for each in gc.get_objects():
        kind = type(each)
        if is_counted(kind):
            found[f"{kind.__module__}.{kind.__qualname__}"] += 1
            for name, value in attributes(each):
                if is_table(value):
                    found[f"{kind.__module__}.{kind.__qualname__}.{name}"] += len(value)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in LIBRARIES:
            found.update({f"{name}.{key}": len(value) for key, value in vars(module).items() if is_table(value)})
    return found


def attributes(each):
    slots = (slot for kind in type(each).__mro__ for slot in vars(kind).get("__slots__", ()))
    named = ((slot, getattr(each, slot, None)) for slot in slots if isinstance(slot, str) and slot != "__dict__")
    return [*vars(each).items(), *named] if hasattr(each, "__dict__") else list(named)


def is_table(value):
    """A bounded deque forgets by itself."""
    return isinstance(value, dict | set | list) or (isinstance(value, deque) and value.maxlen is None)


async def live(scene, number):
    """Everything that a sandbox and its people make the bot remember something of."""
    ada, place = scene.ada, scene.lab.general
    name = f"life-{number}"
    await ada.command("sandbox create", channel=place, name=name, bind_here=True)
    await ada.command("sandbox connect", channel=place, sandbox=name)
    await ada.command("sandbox connect", channel=place, sandbox=name)  # with a button
    await ada.command("sandbox list", channel=place)
    await ada.send(place, "hello")
    await ada.use_foreign_command("score", channel=place)
    await ada.send_dm("What is this?")
    reset = await ada.command("sandbox reset", channel=place, sandbox=name)
    reply = await ada.click(reset.message, "Reset")
    await reply.wait_for(lambda it: title(it.message) == f"Sandbox “{name}” is as when it was made")
    question = await ada.command("sandbox destroy", channel=place, sandbox=name)
    reply = await ada.click(question.message, "Destroy")
    await reply.wait_for(lambda it: title(it.message) == f"Sandbox “{name}” is destroyed")
    if number % 3 == 0:
        resumes = scene.discord.resumes
        await scene.discord.hang_up()
        await scene.until(lambda: has_resumed(scene, resumes))


async def has_resumed(scene, before):
    return scene.discord.resumes > before


@pytest.mark.long
async def test_nothing_that_the_bot_remembers_grows_with_what_has_been(open_scene, monkeypatch):
    for name, limit in BOUNDED.items():
        monkeypatch.setattr(constants, name, limit)
    # asyncpg remembers a hundred statements on each connection, and with each the request that used it first.
    monkeypatch.setattr(asyncpg, "create_pool", partial(asyncpg.create_pool, statement_cache_size=0))
    async with open_scene(routing={"unanswered_after": 0}) as scene:
        for number in range(WARM_UP):
            await live(scene, number)
        before = kept()
        for number in range(WARM_UP, WARM_UP + ROUNDS):
            await live(scene, number)
        await scene.app.bot.finish(10)

        async def is_flat():
            gc.collect()
            return not grown(before)

        try:
            await scene.until(is_flat)
        except TimeoutError:
            pytest.fail(str(grown(before)))


def grown(before):
    return {name: (before[name], count) for name, count in kept().items() if count >= before[name] + ROUNDS - 1}
