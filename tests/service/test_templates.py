"""What a new sandbox contains, and being put back to it."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from uuid import uuid4

import asyncpg
import pytest

from bot import names
from bot.errors import InvalidTransition, NotAllowed, ProvisioningFailed, ResetFailed, ServiceUnavailable
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import SandboxStatus
from bot.sandboxes.schema import SchemaProvisioner
from bot.sandboxes.template import TemplateError, read_template
from bot.stores.nats import StreamStore
from bot.stores.redis import RedisStore
from tests.service.conftest import ADA, BOB, STREAM_LIMITS, new_guild
from tests.sessions import ENDED

GAMES = {
    "10_games.sql": "-- What is played.\nCREATE TYPE mood AS ENUM ('calm', 'wild');\n"
    "CREATE TABLE games (id serial PRIMARY KEY, mood mood NOT NULL DEFAULT 'calm');\n",
    "20_moves.sql": "CREATE TABLE moves (game integer REFERENCES games, n integer);\n"
    "CREATE FUNCTION play() RETURNS void LANGUAGE sql AS $$ INSERT INTO games DEFAULT VALUES; SELECT; $$;\n"
    "SELECT play(); INSERT INTO moves SELECT id, 1 FROM games;\n",
}


@pytest.fixture
def template(tmp_path):
    """A team's own template, of files by their names."""

    def make(files):
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return read_template(tmp_path)

    return make


@pytest.fixture
def manager_with(pool, redis_client, nats_client, template):
    def make(files):
        streams = StreamStore(nats_client, STREAM_LIMITS)
        return SandboxManager(pool, RedisStore(redis_client), streams, template=template(files))

    return make


async def tables_of(manager, sandbox, pool):
    """With their rows, counted: the manager's are estimates."""
    names_of_tables = [table.name for table in await manager.schemas.get_schema_stats(sandbox.id)]
    return {name: await pool.fetchval(f"SELECT count(*) FROM {sandbox.schema_name}.{name}") for name in names_of_tables}


async def test_a_teams_own_template_is_what_a_sandbox_contains(manager_with, pool):
    manager = manager_with(GAMES)
    sandbox = await manager.create(ADA)
    assert await tables_of(manager, sandbox, pool) == {"games": 1, "moves": 1}
    assert not await pool.fetchval("SELECT to_regclass('public.games') IS NOT NULL")


async def test_the_function_of_the_database_makes_the_same_as_the_bots_own_template(pool, manager):
    """One definition: what others make by SQL is what the bot makes statement by statement."""
    by_bot, by_function = uuid4(), uuid4()
    schemas = [await manager.schemas.create_schema(by_bot)]
    schemas.append(await pool.fetchval("SELECT create_sandbox_schema($1)", by_function))
    described = [
        await pool.fetch(
            "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity"
            "  FROM information_schema.columns WHERE table_schema = $1 ORDER BY table_name, ordinal_position",
            schema,
        )
        for schema in schemas
    ]
    constraints = [
        await pool.fetch(
            "SELECT conname, replace(pg_get_constraintdef(oid), $1 || '.', '') FROM pg_constraint"
            " WHERE connamespace = to_regnamespace($1) ORDER BY conname",
            schema,
        )
        for schema in schemas
    ]
    assert described[0] == described[1]
    assert constraints[0] == constraints[1]
    assert len(described[0]) == 15


@pytest.mark.parametrize(
    ("text", "place", "detail"),
    [
        ("CREATE TABLE ok (n int);\nCREATE TABLE bad (n nonsense);", "line 2", "nonsense"),
        ("CREATE TABLE twice (n int);\n\n-- again\nCREATE TABLE twice (n int);", "line 4", "already exists"),
        ("CREATE TABLE ok (\n  n int,\n  m wrong\n);", "line 3", "wrong"),
        ("CREATE TABLE ok (n int);\nCOMMIT;\nCREATE TABLE more (n int)", "line 2", "transaction"),
        ("ROLLBACK", "line 1", "transaction"),
        ("SELEC 1", "line 1", "syntax error"),
        ("CREATE TABLE ok (n int);\nDO $$ BEGIN\n  PERFORM 1 / 0;\nEND $$", "line 2", "division by zero"),
        ("SELECT\n\\connect", "line 2", "syntax error"),
        ("SELECT count(*) FROM sandboxes", "line 1", "does not exist"),
    ],
)
async def test_a_template_that_does_not_apply_is_named_by_file_and_line_and_leaves_nothing(
    manager_with, pool, text, place, detail
):
    manager = manager_with({"10_first.sql": "CREATE TABLE first (n int);", "20_wrong.sql": text})
    with pytest.raises(ProvisioningFailed, match=rf"template 20_wrong\.sql, {place} failed") as raised:
        await manager.create(ADA, name="blue")
    assert detail in str(raised.value.__cause__)
    (sandbox,) = await manager.list(statuses=SandboxStatus)
    assert sandbox.status is SandboxStatus.DESTROYED
    assert await manager.schemas.list_schemas() == []
    with pytest.raises(TemplateError, match=place):
        await manager.schemas.try_template()


SHARED = """
CREATE SCHEMA ops; CREATE TABLE ops.games (id int PRIMARY KEY);
CREATE FUNCTION ops.next() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION ops.next() FROM PUBLIC;
"""


@pytest.mark.parametrize(
    ("text", "place", "grants"),
    [
        (
            "CREATE TABLE moves (\n  game int REFERENCES ops.games (id)\n);",
            "line 1",
            ["USAGE ON SCHEMA ops", "REFERENCES ON TABLE ops.games"],
        ),
        (
            "SELECT 1;\nINSERT INTO ops.games VALUES (1)",
            "line 2",
            ["USAGE ON SCHEMA ops", "INSERT ON TABLE ops.games"],
        ),
        (
            "SELECT 1;\nCREATE VIEW games AS SELECT ops.next() AS n; CREATE TABLE t AS SELECT ops.next()",
            "line 2",
            ["USAGE ON SCHEMA ops", "EXECUTE ON FUNCTION ops.next()"],
        ),
        ("CREATE TABLE ops.mine (n int)", "line 1", ["USAGE, CREATE ON SCHEMA ops"]),
    ],
    ids=["reference", "insert", "function", "create"],
)
async def test_what_a_template_may_not_do_as_the_sandboxs_role_is_named_with_the_grant_until_it_applies(
    enforced, template, pool, text, place, grants
):
    await pool.execute(SHARED)
    enforced.schemas._template = template({"1.sql": text})
    for grant in grants:
        sentence = f"GRANT {grant} TO sandbox_worker"
        with pytest.raises(TemplateError) as tried:
            await enforced.schemas.try_template()
        assert sentence in str(tried.value)
        assert tried.value.place.startswith("1.sql, line")
        with pytest.raises(ProvisioningFailed, match=re.escape(str(tried.value))):
            await enforced.create(ADA)
        await pool.execute(sentence)
    assert tried.value.place == f"1.sql, {place}"
    await enforced.schemas.try_template()
    sandbox = await enforced.create(ADA)
    owned = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relowner <> to_regrole($1)"
    assert await pool.fetchval(owned, sandbox.schema_name) == 0


@pytest.mark.parametrize(
    "text", ["CREATE EXTENSION vector", "ALTER TABLE ops.games ADD n int", "COPY games TO '/tmp/x'"]
)
async def test_what_no_grant_would_allow_is_left_to_an_administrator(enforced, template, pool, text):
    await pool.execute(SHARED + "GRANT ALL ON SCHEMA ops TO sandbox_worker; GRANT ALL ON ops.games TO sandbox_worker")
    enforced.schemas._template = template({"1.sql": f"CREATE TABLE games (n int);\n{text}"})
    with pytest.raises(TemplateError, match=r"1\.sql, line 2: .*leave it to an administrator"):
        await enforced.schemas.try_template()


async def test_trying_a_template_leaves_nothing_behind(manager_with):
    manager = manager_with(GAMES)
    await manager.schemas.try_template()
    assert await manager.schemas.list_schemas() == []


async def test_what_a_template_sets_ends_with_it(enforced, template, pool):
    text = (
        "SET search_path = pg_catalog; SET statement_timeout = '7s'; SELECT pg_advisory_lock(7);\n"
        "CREATE TABLE t (n int); SET search_path = nowhere"
    )
    enforced.schemas._template = template({"1.sql": text})
    sandbox = await enforced.create(ADA)
    assert await tables_of(enforced, sandbox, pool) == {"t": 0}
    async with AsyncExitStack() as borrowed:
        for _ in range(pool.get_size()):
            connection = await borrowed.enter_async_context(pool.acquire())
            assert await connection.fetchval("SHOW search_path") == "sandbox_control, public"
            assert await connection.fetchval("SHOW statement_timeout") == "0"
        assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7") == 0


async def test_what_a_template_locks_ends_with_it_also_if_it_does_not_apply(pool, template):
    schemas = SchemaProvisioner(pool, template({"1.sql": "SELECT pg_advisory_lock(8);\nSELECT 1 / 0"}))
    with pytest.raises(TemplateError, match="line 2: division by zero"):
        await schemas.try_template()
    assert await pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 8") == 0


async def test_a_template_waits_for_a_lock_only_for_a_while(pool, template, monkeypatch):
    monkeypatch.setattr("bot.constants.TEMPLATE_LOCK_TIMEOUT_S", 0.05)
    await pool.execute(
        "CREATE SCHEMA shared; CREATE TABLE shared.t (); GRANT USAGE ON SCHEMA shared TO sandbox_worker;"
        "GRANT ALL ON shared.t TO sandbox_worker"
    )
    schemas = SchemaProvisioner(pool, template({"1.sql": "SELECT 1;\nLOCK TABLE shared.t"}))
    async with pool.acquire() as rival, rival.transaction():
        await rival.execute("LOCK TABLE shared.t")
        with pytest.raises(TemplateError, match="line 2: canceling statement due to lock timeout"):
            await schemas.try_template()


async def test_a_statement_of_a_template_that_does_not_end_is_ended(pool, template, monkeypatch):
    monkeypatch.setattr("bot.constants.TEMPLATE_STATEMENT_TIMEOUT_S", 0.05)
    schemas = SchemaProvisioner(pool, template({"1.sql": "SELECT pg_sleep(60)"}))
    with pytest.raises(TemplateError, match="statement timeout"):
        await schemas.try_template()


async def logged_in(manager, sandbox):
    details = await manager.issue_credentials(ADA, sandbox.id, rotate=True)
    return details.environment["SANDBOX_DATABASE_URL"]


async def test_a_worker_may_use_all_that_the_template_made_before_and_after_a_reset(enforced, template, pool):
    enforced.schemas._template = template(GAMES)
    sandbox = await enforced.create(ADA)
    url = await logged_in(enforced, sandbox)
    for _ in range(2):
        worker = await asyncpg.connect(url)
        await worker.execute("INSERT INTO games (mood) VALUES ('wild'); SELECT play(); CREATE TABLE own (n int)")
        assert await worker.fetchval("SELECT count(*) FROM games") == 3
        await enforced.reset(ADA, sandbox.id)
        assert await tables_of(enforced, sandbox, pool) == {"games": 1, "moves": 1}
        with pytest.raises(ENDED):
            await worker.fetchval("SELECT 1")


async def test_a_reset_empties_every_store_and_keeps_id_guilds_credentials_and_expiry(
    enforced, redis_client, nats_client, pool, audit
):
    guild = new_guild()
    sandbox = await enforced.create(ADA, name="blue", guild_ids=[guild])
    url = await logged_in(enforced, sandbox)
    stored = await pool.fetchrow("SELECT * FROM sandbox_credentials")
    await pool.execute(f"INSERT INTO {sandbox.schema_name}.communities (guild_id, name) VALUES (1, 'a')")
    await redis_client.set(f"{sandbox.redis_prefix}greeting", "hello")
    await redis_client.set("sandbox:another:greeting", "stays")
    jetstream = nats_client.jetstream()
    subject = names.event_subject_prefix(sandbox.id) + "TEST"
    for number in range(5):
        await jetstream.publish(subject, str(number).encode())
    worker = await jetstream.pull_subscribe_bind(consumer=names.WORKER_CONSUMER, stream=sandbox.stream)
    (unacknowledged, _) = await worker.fetch(2, timeout=5)

    assert await enforced.reset(ADA, sandbox.id) == await enforced.get_by_name("blue")
    after = await enforced.get_by_name("blue")
    assert (after.id, after.guild_ids, after.expires_at, after.status) == (
        sandbox.id,
        (guild,),
        sandbox.expires_at,
        SandboxStatus.RUNNING,
    )
    health = await enforced.get_health(sandbox.id)
    assert health.ok
    assert (health.postgres.figures["rows"], health.redis.figures["keys"]) == (0, 0)
    assert (health.nats.figures["messages"], health.nats.figures["unacknowledged"]) == (0, 0)
    assert await redis_client.get("sandbox:another:greeting") == b"stays"
    assert (await pool.fetchrow("SELECT token_sha256, scram_verifier FROM sandbox_credentials")) == (
        stored["token_sha256"],
        stored["scram_verifier"],
    )
    assert (await audit(sandbox.id)).count("sandbox_reset") == 1

    again = await asyncpg.connect(url)
    assert await again.fetchval("SELECT count(*) FROM communities") == 0
    await again.close()
    await unacknowledged.ack()  # of what is gone: it is passed over
    await jetstream.publish(subject, b"new")
    (message,) = await worker.fetch(1, timeout=5)
    assert message.data == b"new"


async def test_a_worker_that_holds_a_table_is_ended_first(enforced):
    sandbox = await enforced.create(ADA)
    worker = await asyncpg.connect(await logged_in(enforced, sandbox))
    await worker.execute("BEGIN; INSERT INTO communities (guild_id, name) VALUES (1, 'a')")
    await asyncio.wait_for(enforced.reset(ADA, sandbox.id), 4)
    with pytest.raises(ENDED):
        await worker.execute("COMMIT")


async def test_only_its_owner_resets_a_sandbox_and_only_while_it_runs(manager, age):
    sandbox = await manager.create(ADA)
    with pytest.raises(NotAllowed):
        await manager.reset(BOB, sandbox.id)
    await manager.destroy(ADA, sandbox.id)
    with pytest.raises(InvalidTransition, match="cannot be reset"):
        await manager.reset(ADA, sandbox.id)


@pytest.mark.parametrize(
    ("store", "method", "step"),
    [
        (RedisStore, "delete_keys", "Redis keys"),
        (StreamStore, "purge", "NATS stream"),
        (SchemaProvisioner, "create_schema", "PostgreSQL schema"),
    ],
)
async def test_a_reset_that_is_cut_short_is_repeated(manager, pool, audit, monkeypatch, store, method, step):
    async def away(*_):
        raise ServiceUnavailable("It", "away")

    sandbox = await manager.create(ADA)
    await pool.execute(f"INSERT INTO {sandbox.schema_name}.communities (guild_id, name) VALUES (1, 'a')")
    with monkeypatch.context() as outage:
        outage.setattr(store, method, away)
        with pytest.raises(ResetFailed, match=f"{step} failed"):
            await manager.reset(ADA, sandbox.id)
    assert (await tables_of(manager, sandbox, pool))["communities"] == 1
    assert "sandbox_reset" not in await audit(sandbox.id)
    await manager.reset(ADA, sandbox.id)
    assert (await tables_of(manager, sandbox, pool))["communities"] == 0
    assert (await audit(sandbox.id)).count("sandbox_reset") == 1


async def test_a_sandbox_with_more_tables_than_one_transaction_may_lock_is_reset_in_batches(manager, pool):
    sandbox = await manager.create(ADA)
    await pool.execute(
        "DO $$ BEGIN FOR number IN 1..700 LOOP"
        f" EXECUTE format('CREATE TABLE {sandbox.schema_name}.own_%s ()', number); END LOOP; END $$"
    )
    await manager.reset(ADA, sandbox.id)
    assert set(await tables_of(manager, sandbox, pool)) == {"communities", "profiles", "badges"}


async def test_a_template_that_broke_meanwhile_leaves_the_sandbox_as_it_was(manager, template, pool):
    sandbox = await manager.create(ADA)
    manager.schemas._template = template({"1.sql": "CREATE TABLE ok (n int);\nCREATE TABLE bad (n nonsense)"})
    with pytest.raises(ResetFailed, match=r"template 1\.sql, line 2 failed"):
        await manager.reset(ADA, sandbox.id)
    assert set(await tables_of(manager, sandbox, pool)) == {"communities", "profiles", "badges"}
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.RUNNING


async def test_resets_and_a_destruction_at_the_same_time_leave_one_outcome(manager, pool):
    sandbox = await manager.create(ADA)
    outcomes = await asyncio.gather(
        *(manager.reset(ADA, sandbox.id) for _ in range(4)), manager.destroy(ADA, sandbox.id), return_exceptions=True
    )
    assert all(isinstance(outcome, InvalidTransition) or outcome.id == sandbox.id for outcome in outcomes)
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED
    assert await manager.schemas.list_schemas() == []
    resets = [outcome for outcome in outcomes[:-1] if not isinstance(outcome, InvalidTransition)]
    written = await pool.fetchval("SELECT count(*) FROM sandbox_audit_log WHERE event_type = 'sandbox_reset'")
    assert written == len(resets)
