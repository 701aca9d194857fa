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
from bot.stores.nats_responder import Responder
from bot.supervisor import Supervisor
from sandbox_worker.dotenv_file import read_dotenv
from sandbox_worker.standard_names import DatabaseForm, standard_names
from tests.service.conftest import ADA
from tests.service.workers import GUILD, make_place


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


async def test_the_variables_as_they_are_now_are_put_into_the_file_whose_other_lines_stay(place, run, tmp_path):
    file = tmp_path / ".env"
    mine = "# mine\nDISCORD_TOKEN='to ken'\n"
    file.write_text(f"{mine}SANDBOX_GUILD_IDS=7 # before\n{file.read_text()}DATABASE_URL=postgresql://localhost/mine")
    file.chmod(0o644)
    await place.manager.register_guild(ADA, place.sandbox.id, GUILD)
    done = await run("env", "--pull")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f".env has the {len(place.environment)} variables of sandbox {place.sandbox.name}.\n"
    written = file.read_text()
    assert written.startswith(f"{mine}SANDBOX_GUILD_IDS={GUILD}\n")
    assert written.endswith("DATABASE_URL=postgresql://localhost/mine\n")
    own = {name: value for name, value in read_dotenv(written).items() if name.startswith("SANDBOX_")}
    assert own == place.environment | {"SANDBOX_GUILD_IDS": str(GUILD)}
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]

    await run("env", "--pull", "--names", "standard")
    assert read_dotenv(file.read_text())["DATABASE_URL"] == place.environment["SANDBOX_DATABASE_URL"]


async def test_a_bot_that_is_away_or_older_leaves_the_file_as_it_is(manager, stores, nats_client, run, tmp_path):
    sandbox = await manager.create(ADA)
    details = await manager.get_connection_details(ADA, sandbox.id)
    file = tmp_path / ".env"
    file.write_text(f"{details.as_dotenv()}NATS_URL={stores.nats_url}\n")
    before = file.read_text()
    away = await run("env", "--pull")
    assert (away.returncode, "nobody answers on NATS" in away.stderr) == (69, True)

    async def refuse(_):
        return b'{"error": "That is no request for a replay: Object contains unknown field `environment`"}'

    old = Responder(nats_client, f"sandbox.{sandbox.id}.replay", refuse)
    async with Supervisor() as supervisor, old.serving(supervisor, "replay"):
        refused = await run("env", "--pull")
    assert (refused.returncode, "The bot is older than this" in refused.stderr) == (1, True)
    assert file.read_text() == before
