"""The stores' own clients and drivers, by what a sandbox is handed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from bot.stores.embedded.programs import postgres_program
from sandbox_worker.standard_names import DatabaseForm, standard_names
from tests.service.workers import make_place


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client)


@pytest.fixture
def run(place, tmp_path):
    """`sandbox-worker …` beside the .env, with the psql of the wheel where there is no other."""
    lines = (f"{name}={value}\n" for name, value in place.environment.items())
    (tmp_path / ".env").write_text("".join(lines))
    path = os.pathsep.join((os.environ["PATH"], str(Path(postgres_program("psql")).parent)))

    async def run(*arguments):
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "sandbox_worker", *arguments],
            cwd=tmp_path,
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


OWN_COMMAND_LINE = r"\! tr '\0' ' ' </proc/$PPID/cmdline"


async def test_psql_is_in_the_schema_and_has_no_password_on_its_command_line(place, run):
    done = await run("psql", "-X", "-A", "-t", "-c", "SELECT current_user, current_schema()", "-c", OWN_COMMAND_LINE)
    assert done.stderr == ""
    login, command_line = done.stdout.splitlines()
    assert login == f"{place.sandbox.schema_name}|{place.sandbox.schema_name}"
    assert " -X -A -t -c SELECT" in command_line
    assert place.environment["SANDBOX_NATS_PASSWORD"] not in command_line
    assert (await run("psql", "-X", "-c", "SELECT nothing")).returncode == 1


@pytest.mark.skipif(not shutil.which("valkey-cli") and not shutil.which("redis-cli"), reason="no client is installed")
async def test_the_client_of_redis_is_logged_in(place, run):
    key = f"{place.environment['SANDBOX_REDIS_PREFIX']}greeting"
    assert (await run("redis", "SET", key, "hello world")).stdout == "OK\n"
    assert (await run("redis", "--raw", "GET", key)).stdout == "hello world\n"


@pytest.mark.parametrize("form", ["postgresql", "postgres"])
async def test_a_driver_finds_the_schema_by_the_databases_address_alone(place, form):
    url = standard_names(place.environment, DatabaseForm(form))["DATABASE_URL"]
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT current_schema()") == place.sandbox.schema_name
    await connection.close()
