from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

from bot.relay.snapshots import Snapshots
from bot.relay.tenants import Tenant

GUILD = 300_000_000_000_000_001
OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


class Upstream:
    """A guild with nothing in it."""

    async def get(self, path, query="", *, sandbox_id):
        return [] if path.endswith(("channels", "events")) else {"path": path}


class Identity:
    async def get(self):
        return SimpleNamespace(user_id="1")


async def test_a_mark_in_one_stream_counts_for_no_other(monkeypatch):
    tenant = Tenant(UUID(int=1), "blue", 1, "", frozenset({GUILD}), 0.0, 0.0, {GUILD: 1.0})
    snapshots, lasts = Snapshots(Upstream(), Identity()), iter([5000, 3])

    async def last_sequence():
        return next(lasts)

    marks = [
        (await snapshots.take(tenant, GUILD, last_sequence, stream_created_at=created_at)).mark
        for created_at in (OLD, OLD, NEW)
    ]
    assert marks == [5000, 5000, 3]
