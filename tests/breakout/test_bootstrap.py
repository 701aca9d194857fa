"""`sql/bootstrap.sql` beyond what every start of the embedded PostgreSQL shows of it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

pytestmark = pytest.mark.parametrize("servers", ["by-hand"], indirect=True, scope="package")


async def test_the_bootstrap_script_may_run_again(servers):
    said = await asyncio.to_thread(servers.bootstrap)
    assert "ERROR" not in said.stderr


async def test_it_gives_back_to_the_bot_what_was_taken_from_it(servers):
    superuser = await asyncpg.connect(servers.superuser_url())
    await superuser.execute("CREATE SCHEMA IF NOT EXISTS sandbox_control AUTHORIZATION sandbox_bot")
    await superuser.execute("CREATE TABLE sandbox_control.taken ()")
    await superuser.execute("ALTER TABLE sandbox_control.taken OWNER TO sandbox_bot")
    await superuser.execute("REVOKE ALL ON sandbox_control.taken FROM sandbox_bot")
    may_read = "SELECT has_table_privilege('sandbox_bot', 'sandbox_control.taken', 'SELECT')"
    before = await superuser.fetchval(may_read)
    await asyncio.to_thread(servers.bootstrap)
    assert (before, await superuser.fetchval(may_read)) == (False, True)
    await superuser.execute("DROP TABLE sandbox_control.taken")
    await superuser.close()


async def test_an_administrator_who_is_no_superuser_may_run_it(servers):
    """As on a managed server; there it says which databases it could not close."""
    superuser = await asyncpg.connect(servers.superuser_url("postgres"))
    await superuser.execute(f"CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD '{servers.password}'")
    await superuser.execute("GRANT sandbox_worker TO admin WITH ADMIN OPTION")
    await superuser.execute("GRANT CONNECT ON DATABASE postgres TO admin")
    await asyncio.to_thread(servers.bootstrap, "-v", "role=managed", "-v", "database=managed", user="admin")
    url = f"postgresql://managed:{servers.password}@127.0.0.1:{servers.ports['postgres']}/managed"
    connection = await asyncpg.connect(url)
    owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'managed'"
    assert await connection.fetchval(owner) == "managed"
    await connection.close()
    await superuser.execute("DROP DATABASE managed WITH (FORCE)")
    await superuser.execute("DROP OWNED BY admin CASCADE")
    await superuser.execute("DROP ROLE managed")
    await superuser.execute("DROP ROLE admin")
    await superuser.close()
