"""A PostgreSQL with a standby, on which no worker stays."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import asyncpg
import pytest
from pydantic import SecretStr

from bot.control_plane import open_control_plane
from bot.sandboxes.access.standby_guard import start_standby_guards
from bot.settings import Postgres, Settings
from bot.stores.opening import open_stores
from bot.supervisor import Supervisor
from tests.cluster.postgres_servers import PostgresPair
from tests.conftest import store_settings
from tests.service.conftest import ADA
from tests.service.servers import until

pytestmark = pytest.mark.long
WITHIN_S = 2.0


@pytest.fixture
async def pair(tmp_path):
    async with PostgresPair(tmp_path / "postgres") as pair:
        yield pair


@pytest.fixture
async def place(stores, pair):
    """A sandbox, its token and the manager, of a bot that guards both servers."""
    dsn = pair.url()
    settings = Settings(**{**store_settings(stores, dsn), "postgres": Postgres(dsn=SecretStr(dsn), pool_size=4)})
    async with (
        open_stores(settings) as opened,
        Supervisor() as supervisor,
        open_control_plane(settings, opened, supervisor=supervisor) as manager,
    ):
        start_standby_guards(supervisor, dsn, opened.pool)
        sandbox = await manager.create(ADA)
        details = await manager.issue_credentials(ADA, sandbox.id)
        await pair.until_followed()
        yield sandbox, details.environment["SANDBOX_NATS_PASSWORD"], manager


@asynccontextmanager
async def session(pair, name, place):
    sandbox, token, _ = place
    port = pair.servers[name].port
    connection = await asyncpg.connect(
        host="127.0.0.1", port=port, database="sandboxes", user=sandbox.schema_name, password=token
    )
    yield connection
    connection.terminate()


async def ended(*connections):
    began = time.monotonic()
    await until(lambda: all(connection.is_closed() for connection in connections))
    assert time.monotonic() - began < WITHIN_S


async def test_a_session_on_a_standby_ends_and_one_on_the_primary_goes_on(pair, place):
    async with session(pair, "postgres-1", place) as there, session(pair, "postgres-2", place) as here:
        await ended(here)
        assert await there.fetchval("SELECT 1") == 1


async def test_a_session_on_a_standby_that_stood_still_ends_at_its_return(pair, place):
    async with session(pair, "postgres-2", place) as here:
        pair.servers["postgres-2"].freeze()
        sandbox, _, manager = place
        await manager.issue_credentials(ADA, sandbox.id, rotate=True)
        pair.servers["postgres-2"].resume()
        await ended(here)


async def test_a_session_on_a_primary_whose_place_another_has_taken_ends(pair, place):
    await pair.servers["postgres-1"].kill()
    await pair.promote()
    await pair.servers["postgres-1"].start()
    async with session(pair, "postgres-1", place) as stray, session(pair, "postgres-2", place) as here:
        await ended(stray)
        assert await here.fetchval("SELECT 1") == 1
