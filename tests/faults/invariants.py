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
    stuck = await pool.fetch(
        "SELECT name, status FROM sandboxes WHERE status = ANY ($1::text[]::sandbox_status[])", UNFINISHED
    )
    assert stuck == [], stuck
    await check_rows(pool)
    behind = await pool.fetchval("SELECT count(*) FROM sandboxes WHERE role_changed_at IS NOT NULL")
    assert behind == 0, f"{behind} roles are not altered yet"
    redis = RedisStore(redis_client)
    orphans = await OrphanCollector(pool, manager.schemas, redis, manager.streams, timedelta(0)).find()
    assert orphans == [], orphans
    users = await redis.list_users()
    streams = await manager.streams.list_streams()
    for row in await pool.fetch("SELECT * FROM sandbox_overview"):
        lives = row["status"] != "destroyed"
        login = await manager.access.logins.look_up(row["id"])
        has = {
            "schema": await manager.schemas.schema_exists(row["id"]),
            "role": await pool.fetchval("SELECT sandbox_role_exists($1)", row["schema_name"]),
            "login": await pool.fetchval("SELECT sandbox_role_may_connect($1)", row["schema_name"]),
            "stream": row["id"] in streams,
            "consumer": await manager.streams.stats(row["id"]) is not None,
        }
        assert has == dict.fromkeys(has, lives), (row["name"], row["status"], has)
        assert (row["id"] in users) is (login is not None), (row["name"], "user", login)
        if login is not None:
            user = await redis_client.acl_getuser(names.redis_user(row["id"]))
            assert user["passwords"] == [login.token_sha256], (row["name"], "password")


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
        assert not (has_credentials and row["status"] in {"destroying", "destroyed"}), row["name"]
    assert routes == bound, (routes, bound)


def _replay(row, history):
    """Follows the audit log from the creation on to what the row says; how often the sandbox expired."""
    told = [(entry["event_type"], entry["details"]) for entry in history]
    assert [kind for kind, _ in told].count("sandbox_created") == 1, told
    status, guilds, expires_at, expired = SandboxStatus.PENDING, Counter[str](), None, 0
    for kind, details in told[1:]:
        details = json.loads(details) if isinstance(details, str) else details
        if kind == "status_changed":
            assert (details["from"], may_become(status, SandboxStatus(details["to"]))) == (status, True), told
            status = SandboxStatus(details["to"])
            expired += status is SandboxStatus.EXPIRED
        elif kind == "sandbox_destroying":
            assert (details["from"], may_become(status, SandboxStatus.DESTROYING)) == (status, True), told
            status = SandboxStatus.DESTROYING
        elif kind == "sandbox_destroyed":
            assert status is SandboxStatus.DESTROYING, told
            status = SandboxStatus.DESTROYED
        elif kind == "ttl_extended":
            assert status == details["status"], told
            status, expires_at = SandboxStatus.RUNNING, datetime.fromisoformat(details["to"])
        elif kind in {"guild_registered", "guild_unregistered"}:
            guilds[details["guild_id"]] += 1 if kind == "guild_registered" else -1
    assert row["status"] == status, (status, told)
    assert +guilds == Counter(str(guild_id) for guild_id in row["guild_ids"]), told
    assert set(guilds.values()) <= {0, 1}, told
    assert expires_at is None or row["expires_at"] <= expires_at, told  # tests move it into the past
    return expired
