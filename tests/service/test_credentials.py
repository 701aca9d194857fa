"""A sandbox's credentials, as the manager issues them."""

import asyncio

import asyncpg
import pytest

from bot.errors import InvalidTransition, NotAllowed
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


@pytest.mark.parametrize(("made_by", "is_ours"), [("1", False), ("4294967295", True)])
async def test_a_role_is_ours_by_its_mark(enforced, pool, made_by, is_ours):
    """Not by that of another database of the server, but by that of one it does not have, as after a restore."""
    sandbox = await enforced.create(ADA)
    mark = await pool.fetchval("SELECT shobj_description(to_regrole($1), 'pg_authid')", sandbox.schema_name)
    await pool.execute(f"COMMENT ON ROLE {sandbox.schema_name} IS 'discord-sandboxes, database {made_by}, made now'")
    assert await pool.fetchval("SELECT sandbox_role_exists($1)", sandbox.schema_name) is is_ours
    await pool.execute(f"COMMENT ON ROLE {sandbox.schema_name} IS '{mark}'")
    await enforced.destroy(ADA, sandbox.id)
