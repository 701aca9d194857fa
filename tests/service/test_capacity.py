"""PostgreSQL's connections, divided among bots and sandboxes."""

from __future__ import annotations

from contextlib import AsyncExitStack

import asyncpg
import pytest

from bot.control_plane import open_control_plane
from bot.sandboxes.access.capacity import ConnectionCapacity, read_capacity
from bot.settings import Embedded, Isolation, Postgres, Sandboxes, Settings
from bot.stores.embedded import EmbeddedStores, PostgresLimits
from bot.stores.opening import open_addresses, open_stores, postgres_limits
from bot.stores.postgres import open_pool
from tests.conftest import store_settings
from tests.service.conftest import ADA

POOL, PER_SANDBOX = 4, 10


@pytest.fixture
async def small(tmp_path, stores, redis_client, nats_client):
    """Settings of a bot whose PostgreSQL has few connections: 14 of the 40 for it, and 23 for sandboxes."""
    limits = PostgresLimits(connections=40, reserved=14)
    async with EmbeddedStores(tmp_path, stores=frozenset({"postgres"}), durable=False, limits=limits) as own:
        sections = store_settings(stores, own.database_url)
        dsn = sections["postgres"].dsn
        yield Settings(**sections | {"postgres": Postgres(dsn=dsn, pool_size=POOL)})


async def fill(stack, urls):
    """All the sessions that the sandboxes' credentials get; whether the server has refused one for its own sake."""
    full = False
    for url in urls:
        for _ in range(PER_SANDBOX):
            try:
                session = await asyncpg.connect(url)
            except asyncpg.TooManyConnectionsError as error:
                full = full or "remaining connection slots" in str(error)
            else:
                stack.callback(session.terminate)
    return full


async def test_sandboxes_that_use_all_their_connections_lock_out_neither_the_bot_nor_the_command_line(small):
    async with open_stores(small) as opened, open_control_plane(small, opened) as manager, AsyncExitStack() as stack:
        made = [await manager.create(ADA) for _ in range(4)]
        details = [await manager.issue_credentials(ADA, sandbox.id) for sandbox in made]
        assert await fill(stack, [detail.environment["SANDBOX_DATABASE_URL"] for detail in details])
        beside = await open_pool(opened.addresses.postgres, max_size=POOL)  # the command line
        capacity = await read_capacity(beside, small, bots=1)
        await beside.close()
        await manager.destroy(ADA, made[0].id)
        assert (await manager.create(ADA)).status == "running"
    assert (capacity.total, capacity.for_bots, capacity.for_sandboxes, capacity.living) == (40, 14, 23, 4)
    assert "room for 2 sandboxes with 10 each" in capacity.fact
    (warning,) = capacity.warnings()
    assert "4 sandboxes live and one developer may have 5" in warning.message
    assert "max_connections to at least 107, or isolation.max_connections to at most 2" in warning.mend


def capacity(**figures):
    enough = {"total": 300, "for_superusers": 3, "for_bots": 40, "opened_by_bots": 20, "living": 20, "quota": 5}
    return ConnectionCapacity(**enough | {"per_sandbox": PER_SANDBOX} | figures)


def test_nothing_is_said_of_what_fits():
    assert list(capacity().warnings()) == []


def test_what_does_not_fit_is_said_with_numbers_that_would_fit():
    (warning,) = capacity(living=21).warnings()
    assert "at least 303, or isolation.max_connections to at most 9" in warning.mend
    assert list(capacity(living=21, total=303).warnings()) == []
    assert list(capacity(living=21, per_sandbox=9).warnings()) == []


def test_where_none_are_kept_for_bots_theirs_are_taken_from_the_sandboxes():
    assert capacity(for_bots=0).for_sandboxes == 277


def test_bots_that_may_open_more_than_are_kept_for_them_are_named():
    (warning,) = capacity(opened_by_bots=60).warnings()
    assert warning.message.startswith("reserved_connections is 40, and the bots may open 60")


@pytest.mark.parametrize(
    ("sections", "limits"),
    [
        ({}, (300, 40)),
        ({"postgres": Postgres(pool_size=50), "sandboxes": Sandboxes(max_per_owner=1)}, (180, 120)),
        ({"isolation": Isolation(max_connections=1000)}, (2000, 40)),
    ],
)
def test_the_embedded_server_is_to_have_room_for_two_bots_and_some_developers_whole_quota(sections, limits):
    found = postgres_limits(Settings(**sections))
    assert (found.connections, found.reserved) == limits


async def test_the_embedded_server_has_what_the_settings_come_to(tmp_path):
    embedded = Embedded(folder=tmp_path, durable=False)
    settings = Settings(embedded=embedded, isolation=Isolation(max_connections=20))
    async with open_addresses(settings, only=frozenset({"postgres"})) as addresses:
        connection = await asyncpg.connect(addresses.postgres)
        names = ("max_connections", "reserved_connections", "temp_file_limit")
        assert [await connection.fetchval(f"SHOW {name}") for name in names] == ["550", "40", "1GB"]
        await connection.close()
