"""The control plane on real stores."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bot.control_plane import open_control_plane, serve_workers
from bot.sandboxes.lifecycle.notices import NoticeOutbox
from bot.sandboxes.limits import Limits
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import Actor
from bot.settings import Settings
from bot.stores.nats import StreamLimits, StreamStore
from bot.stores.opening import open_stores
from bot.stores.redis import RedisStore
from bot.supervisor import Supervisor
from tests.conftest import store_settings
from tests.logs import line_of, logged

STREAM_LIMITS = StreamLimits(timedelta(hours=1), 10_000, 10_000_000)
ADA = Actor(100_000_000_000_000_001, "ada")
BOB = Actor(100_000_000_000_000_002, "bob")
ADMIN = Actor(100_000_000_000_000_003, "root", is_admin=True)
_guilds = itertools.count(200_000_000_000_000_000)


def new_guild() -> int:
    """A guild's id that no other test uses."""
    return next(_guilds)


@pytest.fixture
def make_manager(pool, redis_client, nats_client):
    """Another manager on the same stores, as another bot process has one; parts may be replaced by broken ones."""

    def make(*, redis=None, streams=None, **limits):
        return SandboxManager(
            pool,
            redis or RedisStore(redis_client),
            streams or StreamStore(nats_client, STREAM_LIMITS),
            Limits(**limits),
        )

    return make


@pytest.fixture
def manager(make_manager):
    return make_manager()


@asynccontextmanager
async def enforcing(settings):
    """A manager whose sandboxes are kept apart by the servers, with the bot's answers to their workers."""
    async with (
        open_stores(settings) as opened,
        Supervisor() as supervisor,
        open_control_plane(settings, opened, supervisor=supervisor) as manager,
        serve_workers(opened, manager, supervisor),
    ):
        yield manager


@pytest.fixture
async def enforced(stores, dsn, nats_client, redis_client):
    async with enforcing(Settings(**store_settings(stores, dsn))) as manager:
        yield manager


@pytest.fixture
def told():
    """The log's lines while the test runs, as (level, message, what stands beside it)."""
    with logged(read=line_of) as lines:
        yield lines


@pytest.fixture
def outbox(pool):
    return NoticeOutbox(pool)


@pytest.fixture
def make_reaper(manager):
    def make(*, warn_before=timedelta(hours=1), grace=timedelta(hours=1), stuck_after=timedelta(minutes=2)):
        return manager.make_reaper(warn_before=warn_before, grace=grace, stuck_after=stuck_after)

    return make


@pytest.fixture
def age(pool):
    """Moves a sandbox's times into the past, as waiting would."""

    async def move(sandbox, by):
        await pool.execute(
            "UPDATE sandboxes SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval,"
            " status_changed_at = status_changed_at - $2::interval, attended_at = attended_at - $2::interval,"
            " destroyed_at = destroyed_at - $2::interval WHERE id = $1",
            sandbox.id,
            by,
        )

    return move


@pytest.fixture
def audit(pool):
    """The event types that the audit log holds of a sandbox, oldest first."""

    async def read(sandbox_id):
        rows = await pool.fetch(
            "SELECT event_type FROM sandbox_audit_log WHERE sandbox_id = $1 ORDER BY id", sandbox_id
        )
        return [row["event_type"] for row in rows]

    return read
