"""With a long history behind a thousand living sandboxes, no query of every day reads a whole table."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bot.sandboxes.access.tokens import hash_token, scram_verifier
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.postgres import load_queries

HOUR = timedelta(hours=1)
SOME_ID = UUID("00000000-0000-4000-8000-000000000000")
LIVING = ["pending", "creating", "running", "expired", "destroying"]
FILL = """
INSERT INTO sandbox_owners (id) SELECT 10^17::numeric + number FROM generate_series(1, 300) AS number;
INSERT INTO sandboxes (id, name, owner_id, schema_name, status, created_at, expires_at, destroyed_at)
SELECT id, 'old-' || number, 10^17::numeric + 1 + number % 300, sandbox_schema_name(id), 'destroyed',
       now() - number * interval '1 minute', now(), now()
  FROM (SELECT gen_random_uuid() AS id, number FROM generate_series(1, 20000) AS number);
INSERT INTO sandboxes (id, name, owner_id, schema_name, status, expires_at, metadata)
SELECT id, 'sandbox-' || number, 10^17::numeric + 1 + number % 300, sandbox_schema_name(id), 'running',
       now() + number * interval '1 minute',
       jsonb_build_object('tags', jsonb_build_object('team', 'team-' || number % 50))
  FROM (SELECT gen_random_uuid() AS id, number FROM generate_series(1, 1000) AS number);
UPDATE sandboxes SET redis_database = numbered.number
  FROM (SELECT id, row_number() OVER () AS number FROM sandboxes WHERE status = 'running') AS numbered
 WHERE sandboxes.id = numbered.id;
INSERT INTO sandbox_guild_mapping (guild_id, sandbox_id, bound_by)
SELECT 10^18::numeric + row_number() OVER (), id, owner_id
  FROM sandboxes, generate_series(1, 5) WHERE status = 'running';
INSERT INTO sandbox_audit_log (sandbox_id, event_type)
SELECT id, 'status_changed' FROM sandboxes, generate_series(1, 3);
INSERT INTO sandbox_notices (sandbox_id, kind, expires_at, addressed_at)
SELECT id, 'expired', expires_at, now() FROM sandboxes;
INSERT INTO sandbox_notice_deliveries (notice_id, recipient_id, settled_at) SELECT id, 1, now() FROM sandbox_notices;
ANALYZE;
"""
QUERIES: dict[str, dict[str, list[object]]] = {
    "sandboxes": {
        "get_sandbox": [SOME_ID],
        "take_database": [SOME_ID, [*range(64)]],
        "get_sandbox_by_name": ["blue"],
        "get_sandbox_by_schema_name": ["sandbox_00000000"],
        "get_sandbox_by_guild_id": [10**18],
        "list_living": [None, LIVING, 100, 0],
        "list_tagged": [None, LIVING, 100, 0, {"team": "team-7"}],
        "count_tagged": [10**17 + 5, LIVING, {"team": "team-7"}],
        "count_living_of": [10**17 + 5, LIVING],
        "list_sandboxes": [None, [*LIVING, "destroyed"], 100, 0, None],
        "suggest_sandboxes": [10**17 + 5, True, "box-1", 25],
        "count_living": [10**17 + 5],
        "read_audit": [SOME_ID, 50],
        "read_audit_log": [5, None, None, 1000],
        "delete_audit": [90 * 24 * HOUR, 1000],
        "find_expired": [None],
        "find_overdue": [HOUR, None],
        "find_stuck": [HOUR, None],
        "unbind_all": [SOME_ID],
        "is_bound_by": [10**18, SOME_ID, 10**17],
        "list_bindings_of": [[10**18, 10**18 + 1], 0],
        "schedule_check": [10**18, 10**17, HOUR],
    },
    "databases": {"find_holder": [7], "replace_database": [SOME_ID, 7, [*range(64)]]},
    "routes": {"load_routes_of": [[10**18, 10**18 + 1]]},
    "access": {
        "get_login": [SOME_ID],
        "list_unapplied": [HOUR],
        "list_revoked": [[SOME_ID]],
    },
    "census": {"count_sandboxes": [HOUR], "count_notices": []},
    "orphans": {"classify": [[SOME_ID], HOUR]},
    "streams": {
        "list_expected": [],
        "list_repaired": [],
        "list_repaired_of": [["sandbox_00000000"]],
        "is_expected": [SOME_ID],
        "list_guilds": [SOME_ID],
    },
    "notices": {
        "write_notice": [SOME_ID, "expired", datetime.now(UTC)],
        "lock_new": [100],
        "last_outcome": [SOME_ID, 1],
        "claim_delivery": [HOUR],
    },
}
LARGE = {"sandboxes", "sandbox_audit_log", "sandbox_notices", "sandbox_notice_deliveries", "sandbox_guild_mapping"}


def scanned_whole(node):
    """The large tables that a plan reads from one end to the other."""
    found = {node["Relation Name"]} & LARGE if node["Node Type"] == "Seq Scan" else set()
    return found.union(*(scanned_whole(child) for child in node.get("Plans", ())))


IN_ONE_LIFE = (
    ("create_role", [SOME_ID, datetime.now(UTC) + HOUR, 10]),
    ("save_credentials", [SOME_ID, scram_verifier("x", b"salt"), hash_token("x")]),
    ("end_sessions", [SOME_ID]),
    ("replace_credentials", [SOME_ID, scram_verifier("y", b"salt"), hash_token("y")]),
    ("alter_role", [SOME_ID, datetime.now(UTC)]),
    ("readmit_role", [SOME_ID, datetime.now(UTC)]),
    ("shut_out_role", [SOME_ID]),
    ("cut_role", [SOME_ID]),
)
CATALOGS = """
SELECT relname, seq_scan FROM pg_stat_xact_sys_tables
 WHERE relname IN ('pg_class', 'pg_depend', 'pg_authid', 'pg_auth_members', 'pg_namespace')
"""


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
async def test_every_query_of_every_day_uses_indexes(pool, plan):
    async with pool.acquire() as connection:
        await connection.execute(FILL)
        await connection.execute(f"SET plan_cache_mode = {plan}")
        wrong = {}
        for module, queries in QUERIES.items():
            for name, arguments in queries.items():
                async with connection.transaction():
                    (text,) = await connection.fetchrow(
                        f"EXPLAIN (FORMAT json) {load_queries(module)[name]}", *arguments
                    )
                if whole := scanned_whole(json.loads(text)[0]["Plan"]):
                    wrong[name] = whole
        assert wrong == {}


async def test_no_step_of_a_sandboxs_life_reads_a_whole_catalog(pool):
    """There is a row in them for every relation and role of every sandbox."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO sandbox_owners (id) VALUES (1)")
        await connection.execute(load_queries("sandboxes")["insert_sandbox"], SOME_ID, "blue", 1, None, HOUR, {})
        await SchemaProvisioner(pool).create_schema(SOME_ID, connection)
        await connection.execute("SET LOCAL enable_seqscan = off")
        before = dict(await connection.fetch(CATALOGS))
        for name, arguments in IN_ONE_LIFE:
            await connection.execute(load_queries("access")[name], *arguments)
            assert dict(await connection.fetch(CATALOGS)) == before, name
        granted = "SELECT has_table_privilege('sandbox_00000000', 'sandbox_00000000.badges', 'INSERT')"
        assert await connection.fetchval(granted)


async def test_living_sandboxes_are_found_by_their_tags_through_an_index(pool):
    async with pool.acquire() as connection:
        await connection.execute(FILL)
        query = load_queries("sandboxes")["count_tagged"]
        (plan,) = await connection.fetchrow(f"EXPLAIN (FORMAT json) {query}", None, LIVING, {"team": "team-7"})
        assert "sandboxes_tags_idx" in plan
        assert await connection.fetchval(query, None, LIVING, {"team": "team-7"}) == 20
