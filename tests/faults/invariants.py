"""What holds of all sandboxes and of all stores, whatever has happened to the processes that changed them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from bot import names
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.model import SandboxStatus, may_become
from bot.stores.postgres import load_queries
from bot.stores.redis import RedisStore
from tests.faults.operations import GRACE, STUCK_AFTER

UNFINISHED = ["pending", "creating", "destroying"]


async def settle(manager, pool):
    """What the reaper of a process that lives does in the next minutes."""
    await pool.execute(
        "UPDATE sandboxes SET status_changed_at = status_changed_at - interval '1h',"
        " attended_at = attended_at - interval '1h', access_changed_at = access_changed_at - interval '1h',"
        " role_changed_at = role_changed_at - interval '1h'"
    )
    await manager.make_reaper(warn_before=GRACE, grace=GRACE, stuck_after=STUCK_AFTER).sweep()
    await manager.access.reconcile(timedelta(minutes=1))
    await manager.stream_reconciler.reconcile()


async def check(manager, pool, redis_client):
    """Fails unless nothing is stuck, lost, left behind, told twice or told wrongly."""
    assert (
        await pool.fetch(
            "SELECT name, status FROM sandboxes WHERE status = ANY ($1::text[]::sandbox_status[])", UNFINISHED
        )
        == []
    )
    await check_rows(pool)
    assert await pool.fetchval("SELECT count(*) FROM sandboxes WHERE role_changed_at IS NOT NULL") == 0
    redis = RedisStore(redis_client)
    orphans = await OrphanCollector(pool, manager.schemas, redis, manager.streams, timedelta(0)).find()
    assert orphans == [], orphans
    users = await redis.list_users()
    streams = {found.sandbox_id for found in await manager.streams.list_streams()}
    for row in await pool.fetch("SELECT * FROM sandbox_overview"):
        lives = row["status"] != "destroyed"
        assert await manager.schemas.schema_exists(row["id"]) is lives
        assert await pool.fetchval("SELECT sandbox_role_exists($1)", row["schema_name"]) is lives
        assert await pool.fetchval("SELECT sandbox_role_may_connect($1)", row["schema_name"]) is lives
        assert (row["id"] in streams) is lives
        if lives:
            assert await manager.streams.stats(row["id"]) is not None
        login = await manager.access.look_up(row["id"])
        assert (row["id"] in users) is (login is not None)
        if login is not None:
            user = await redis_client.acl_getuser(names.redis_user(row["id"]))
            assert user["passwords"] == [login.token_sha256]


async def check_rows(pool):
    """What holds of the rows at any moment: every change stands in the audit log once, and no other."""
    routes = {row["guild_id"]: row["sandbox_id"] for row in await pool.fetch(load_queries("routes")["load_routes"])}
    bound: dict[int, UUID] = {}
    for row in await pool.fetch("SELECT * FROM sandbox_overview"):
        history = await pool.fetch("SELECT * FROM sandbox_audit_log WHERE sandbox_id = $1 ORDER BY id", row["id"])
        expiries = _replay(row, history)
        notices = await pool.fetchval(
            "SELECT count(*) FROM sandbox_notices WHERE kind = 'expired' AND sandbox_id = $1", row["id"]
        )
        assert notices == expiries, (row["name"], notices, expiries)
        if row["status"] == "running":
            bound |= dict.fromkeys(row["guild_ids"], row["id"])
        has_credentials = await pool.fetchval(
            "SELECT EXISTS (SELECT FROM sandbox_credentials WHERE sandbox_id = $1)", row["id"]
        )
        assert not (has_credentials and row["status"] in {"destroying", "destroyed"})
    assert routes == bound


def _replay(row, history):
    """Follows the audit log from the creation on to what the row says; how often the sandbox expired."""
    assert [entry["event_type"] for entry in history].count("sandbox_created") == 1
    status, guilds, expires_at, expired = SandboxStatus.PENDING, Counter[str](), None, 0
    for entry in history[1:]:
        kind, details = entry["event_type"], entry["details"]
        details = json.loads(details) if isinstance(details, str) else details
        if kind == "status_changed":
            assert (details["from"], may_become(status, SandboxStatus(details["to"]))) == (status, True)
            status = SandboxStatus(details["to"])
            expired += status is SandboxStatus.EXPIRED
        elif kind == "sandbox_destroying":
            assert (details["from"], may_become(status, SandboxStatus.DESTROYING)) == (status, True)
            status = SandboxStatus.DESTROYING
        elif kind == "sandbox_destroyed":
            assert status is SandboxStatus.DESTROYING
            status = SandboxStatus.DESTROYED
        elif kind == "ttl_extended":
            assert status == details["status"]
            status, expires_at = SandboxStatus.RUNNING, datetime.fromisoformat(details["to"])
        elif kind in {"guild_registered", "guild_unregistered"}:
            guilds[details["guild_id"]] += 1 if kind == "guild_registered" else -1
    assert row["status"] == status
    assert +guilds == Counter(str(guild_id) for guild_id in row["guild_ids"])
    assert set(guilds.values()) <= {0, 1}
    assert expires_at is None or row["expires_at"] <= expires_at  # tests move it into the past
    return expired
