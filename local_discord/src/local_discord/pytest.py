"""A plugin for pytest, loaded only where it is asked for: by `-p local_discord.pytest`, or by `pytest_plugins`.

Its fixture is asynchronous, for the server has to run on the loop of the test that awaits what people do.
pytest-asyncio drives it in both of its modes; where that isn't installed, so does any plugin that drives plain
asynchronous fixtures, such as anyio's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from local_discord.server import LocalDiscord

try:
    # In its strict mode pytest-asyncio leaves every other fixture alone.
    from pytest_asyncio import fixture
except ModuleNotFoundError:
    fixture = pytest.fixture  # type: ignore[assignment]


@fixture
async def local_discord() -> AsyncIterator[LocalDiscord]:
    """A Discord of the test's own, which serves already: empty but for the bot and the application's owner."""
    async with LocalDiscord() as discord:
        yield discord
