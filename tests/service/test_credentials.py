"""A sandbox's credentials, as the manager issues them."""

import asyncio

import asyncpg
import pytest

from bot.errors import InvalidTransition, NotAllowed, ServiceUnavailable
from tests.service.conftest import ADA, ADMIN, BOB


async def test_of_two_that_ask_first_at_the_same_moment_one_gets_credentials(enforced, audit):
    sandbox = await enforced.create(ADA)
    both = await asyncio.gather(*(enforced.issue_credentials(ADA, sandbox.id) for _ in range(2)))
    assert sorted(details.has_token for details in both) == [False, True]
    assert (await audit(sandbox.id)).count("credentials_issued") == 1
    (shown,) = (details for details in both if details.has_token)
    worker = await asyncpg.connect(shown.environment["SANDBOX_DATABASE_URL"])
    await worker.close()


async def test_only_the_owner_or_an_admin_gets_them_and_only_of_a_running_sandbox(enforced):
    sandbox = await enforced.create(ADA)
    with pytest.raises(NotAllowed):
        await enforced.issue_credentials(BOB, sandbox.id)
    assert (await enforced.issue_credentials(ADMIN, sandbox.id)).has_token
    await enforced.destroy(ADA, sandbox.id)
    with pytest.raises(InvalidTransition):
        await enforced.issue_credentials(ADA, sandbox.id, rotate=True)


async def test_no_token_is_kept_anywhere(enforced, pool):
    sandbox = await enforced.create(ADA)
    url = (await enforced.issue_credentials(ADA, sandbox.id)).environment["SANDBOX_DATABASE_URL"]
    token = url.partition(":")[2].partition(":")[2].partition("@")[0]
    assert len(token) >= 40
    kept = await pool.fetchval("SELECT string_agg(credentials::text, '') FROM sandbox_credentials AS credentials")
    audited = await pool.fetchval("SELECT string_agg(log::text, '') FROM sandbox_audit_log AS log")
    assert token not in kept + audited


async def test_a_sandbox_made_before_its_store_enforced_anything_gets_a_login_with_its_credentials(
    manager, enforced, pool
):
    sandbox = await manager.create(ADA)
    assert await pool.fetchval("SELECT to_regrole($1)", sandbox.schema_name) is None
    details = await enforced.issue_credentials(ADA, sandbox.id)
    worker = await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"])
    assert await worker.fetchval("SELECT count(*) FROM communities") == 0
    await worker.close()


MADE_HERE = "installation {installation}, server {server}, database {database}"
OTHERS = "installation 00000000-0000-0000-0000-000000000000, server {server}, database {database}"
MARKS = {
    MADE_HERE: True,
    "installation {installation}, server {server}, database 4294967295": True,
    "installation {installation}, server {server}, database 1": False,
    "installation {installation}, server 1, database 1": True,
    OTHERS: False,
    "database {database}": True,
    "database 1": False,
}
"""Made by whom, and whether that is this database: by the installation, wherever that was restored, but for a copy of
it on the same server; and by the mark that earlier versions have made here."""


async def test_a_role_is_ours_by_its_mark(enforced, pool):
    sandbox = await enforced.create(ADA)
    mark = await pool.fetchval("SELECT shobj_description(to_regrole($1), 'pg_authid')", sandbox.schema_name)
    here = await pool.fetchrow(
        "SELECT installation.id AS installation, system_identifier AS server, pg_database.oid AS database"
        " FROM installation, pg_control_system(), pg_database WHERE datname = current_database()"
    )
    assert mark.startswith(f"discord-sandboxes, {MADE_HERE.format(**here)}, made ")
    for made_by, is_ours in MARKS.items():
        written = f"discord-sandboxes, {made_by.format(**here)}, made now"
        await pool.execute(f"COMMENT ON ROLE {sandbox.schema_name} IS '{written}'")
        assert await pool.fetchval("SELECT sandbox_role_exists($1)", sandbox.schema_name) is is_ours, made_by
    await pool.execute(f"COMMENT ON ROLE {sandbox.schema_name} IS '{mark}'")
    await enforced.destroy(ADA, sandbox.id)


FOREIGN = """
CREATE TABLE {0}.legacy (id serial PRIMARY KEY); CREATE VIEW {0}.report AS SELECT 1;
CREATE TABLE {0}.shared (id int); GRANT SELECT ON {0}.shared TO PUBLIC;
CREATE FUNCTION {0}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE {0}.kind AS ENUM ('a')
"""


@pytest.fixture
async def superuser(stores, dsn):
    connection = await asyncpg.connect(stores.superuser_url(dsn.rpartition("/")[2]))
    yield connection
    await connection.close()


@pytest.mark.parametrize("has_role", [True, False])
async def test_tables_of_somebody_elses_are_named_with_what_gives_them_over_and_keep_nothing_else(
    manager, enforced, superuser, has_role
):
    sandbox = await (enforced if has_role else manager).create(ADA)
    await superuser.execute(FOREIGN.format(sandbox.schema_name))
    for rotate in (False, True):
        details = await enforced.issue_credentials(ADA, sandbox.id, rotate=rotate)
        assert [remark.partition(",")[0] for remark in details.remarks] == [
            "legacy belongs to postgres",
            "report belongs to postgres",
        ]
        assert f"ALTER TABLE {sandbox.schema_name}.legacy OWNER TO {sandbox.schema_name}" in details.as_dotenv()
    worker = await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"])
    await worker.execute("ALTER TABLE communities ADD x int; CREATE TABLE own ()")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker.execute("SELECT FROM legacy")
    for remark in details.remarks:
        await superuser.execute(remark.partition(": ")[2])
    assert await worker.fetchval("SELECT count(*) FROM legacy") == 0
    await worker.close()
    assert (await enforced.issue_credentials(ADA, sandbox.id, rotate=True)).remarks == ()
    await enforced.destroy(ADA, sandbox.id)


async def test_a_table_that_somebody_holds_makes_no_bug_of_a_first_connection(manager, enforced, superuser):
    sandbox = await manager.create(ADA)
    async with superuser.transaction():
        await superuser.execute(f"LOCK {sandbox.schema_name}.communities")
        with pytest.raises(ServiceUnavailable):
            await enforced.issue_credentials(ADA, sandbox.id)
    assert (await enforced.issue_credentials(ADA, sandbox.id)).has_token
