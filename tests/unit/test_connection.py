import subprocess
from dataclasses import replace
from datetime import UTC, datetime

from bot.sandboxes.access.connection import ConnectionDetails, WorkerAddresses, connection_details
from bot.sandboxes.access.isolation import Enforcement, Isolation
from sandbox_worker.environment import read_environment
from tests.unit.test_limits import sandbox


def test_the_environment_names_all_that_a_worker_needs():
    owned = replace(sandbox(), guild_ids=(10**17, 10**18))
    environment = connection_details(owned, Isolation(), WorkerAddresses()).environment
    assert environment["SANDBOX_ID"] == str(owned.id)
    assert environment["SANDBOX_SCHEMA"] == owned.schema_name
    assert environment["SANDBOX_REDIS_PREFIX"] == f"sandbox:{owned.id}:"
    assert environment["SANDBOX_NATS_PREFIX"] == f"sandbox.{owned.id}."
    assert environment["SANDBOX_NATS_STREAM"] == f"SANDBOX_{owned.short_id}"
    assert environment["SANDBOX_GUILD_IDS"] == f"{10**17},{10**18}"


def test_a_worker_reads_the_file_as_it_is(tmp_path):
    owned = replace(sandbox(), guild_ids=(10**17, 10**18))
    details = connection_details(
        owned,
        Isolation(Enforcement(), Enforcement(), Enforcement()),
        WorkerAddresses("postgresql://db/bot", "redis://cache", "nats://bus", "https://discord.example/api"),
        token="t$o{k}en '\"#",
    )
    (tmp_path / ".env").write_text(details.as_dotenv())
    found = read_environment({}, tmp_path / ".env")
    assert (found.sandbox_id, found.name, found.schema) == (owned.id, owned.name, owned.schema_name)
    assert (found.redis_prefix, found.stream, found.guild_ids) == (owned.redis_prefix, owned.stream, owned.guild_ids)
    assert (found.event_prefix, found.work_prefix) == (f"sandbox.{owned.id}.events.", f"sandbox.{owned.id}.work.")
    assert found.discord_api == "https://discord.example/api"
    assert found.nats_url == details.environment["SANDBOX_NATS_URL"]
    assert found.database_url == details.environment["SANDBOX_DATABASE_URL"]
    assert found.redis_url == details.environment["SANDBOX_REDIS_URL"]
    assert "t$o" not in repr(found)


def test_a_shell_that_sources_the_environment_runs_nothing(tmp_path):
    hostile = "x'; touch PWNED; '$(touch PWNED)`touch PWNED`"
    expires = datetime(2026, 1, 1, tzinfo=UTC)
    details = ConnectionDetails(replace(sandbox(expires_at=expires), name="n"), {"VALUE": hostile})
    (tmp_path / ".env").write_text(details.as_dotenv())
    shell = subprocess.run(
        ["sh", "-c", '. ./.env; printf %s "$VALUE"'], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert shell.stdout == hostile
    assert not (tmp_path / "PWNED").exists()
