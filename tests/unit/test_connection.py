import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.i18n import activate_locale
from bot.sandboxes.access.connection import ConnectionDetails, WorkerAddresses, connection_details
from bot.sandboxes.access.isolation import Enforcement, Isolation
from bot.sandboxes.access.tokens import read_bot_token
from bot.ui import replies
from sandbox_worker import variables
from sandbox_worker.addresses import Host
from sandbox_worker.environment import read_environment
from sandbox_worker.standard_names import DatabaseForm
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


ADDRESSES = WorkerAddresses(
    "postgresql://db/bot",
    "redis://cache",
    "nats://bus",
    "https://discord.example/api",
    relay="https://relay.example",
    bot_id=10**17,
)
SECRET = "s3cret-of-the-sandbox"


def handed_out(addresses=ADDRESSES, **options):
    isolation = Isolation(Enforcement(), Enforcement(), Enforcement())
    return connection_details(sandbox(), isolation, addresses, token=SECRET, **options)


def test_what_holds_the_token_is_declared_secret_and_nothing_else_is():
    details = handed_out().with_standard_names(DatabaseForm.POSTGRESQL)
    holding = {name for name, value in details.environment.items() if SECRET in value}
    assert holding == variables.SECRETS
    assert SECRET not in details.as_dotenv(secret=False) + repr(details)
    assert details.as_dotenv().count(SECRET) == len(holding) == 10
    assert handed_out().as_dotenv().count(SECRET) == 5


def test_a_bot_is_handed_its_token_and_the_relays_addresses():
    details = handed_out()
    environment = details.environment
    assert environment["SANDBOX_BOT_API"] == "https://relay.example/api/v10"
    assert environment["SANDBOX_BOT_GATEWAY"] == "wss://relay.example"
    assert read_bot_token(environment["SANDBOX_BOT_TOKEN"]) == (details.sandbox.short_id, SECRET)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8791", "http://[::1]:8791", "https://localhost:8791"])
def test_an_address_that_only_the_bots_machine_reaches_says_so(address):
    details = handed_out(replace(ADDRESSES, relay=address))
    assert f"# {address}, for SANDBOX_BOT_TOKEN, is reached on the bot's own machine alone" in details.as_dotenv()
    assert "own machine" not in handed_out().as_dotenv()


def test_at_the_usual_address_a_token_is_for_nobody_but_a_relay_of_ours():
    usual = replace(ADDRESSES, relay="http://127.0.0.1:8791", relay_is_usual=True)
    absent = handed_out(usual, serves=False)
    assert not any(name.startswith("SANDBOX_BOT") for name in absent.environment)
    assert "The relay doesn't serve at http://127.0.0.1:8791, so there is no bot token" in absent.as_dotenv()
    assert handed_out(usual, serves=True).has_bot_token
    chosen = handed_out(serves=False)  # by the operator, who knows what is there
    assert chosen.has_bot_token
    assert "# No relay serves at https://relay.example just now" in chosen.as_dotenv()


def test_addresses_of_loopback_say_so_in_the_file_and_in_the_reply_in_both_languages():
    near = replace(ADDRESSES, postgres="postgresql://127.0.0.1:5432/bot", nats="nats://localhost:4222")
    details = handed_out(replace(near, relay="http://[::1]:8791"))
    assert details.loopback_variables == ("SANDBOX_DATABASE_URL", "SANDBOX_NATS_URL", "SANDBOX_BOT_API")
    stores = "# SANDBOX_DATABASE_URL, SANDBOX_NATS_URL: reached on the bot's own machine alone\n"
    assert stores in details.as_dotenv()
    told = "`SANDBOX_DATABASE_URL`, `SANDBOX_NATS_URL`, `SANDBOX_BOT_API`"
    fields = {field.name: field.value for field in replies.connection(details)[0].fields}
    assert f"This works on the bot's own machine alone: {told} are addresses" in str(fields["Reached from"])
    assert "Reached from" not in {field.name for field in replies.connection(handed_out())[0].fields}

    activate_locale("de")
    german = {field.name: field.value for field in replies.connection(details)[0].fields}
    activate_locale("en-US")
    assert f"Das geht nur auf der Maschine des Bots: {told}" in str(german["Erreichbar von"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("redis://cache", "redis://{login}cache/17"),
        ("rediss://cache:6380/3", "rediss://{login}cache:6380/17"),
        ("unix:///run/valkey.sock?db=3", "unix://{login}/run/valkey.sock?db=17"),
    ],
)
def test_the_address_ends_in_the_database_of_a_sandbox_that_has_one(address, expected):
    enforced = Isolation(Enforcement(), Enforcement(), Enforcement())
    addresses = WorkerAddresses(redis=address)
    owned = replace(sandbox(), redis_database=17)
    found = connection_details(owned, enforced, addresses, token="token").environment["SANDBOX_REDIS_URL"]
    assert found == expected.format(login=f"sandbox-{owned.id}:token@")
    shared = connection_details(sandbox(), enforced, addresses, token="token").environment["SANDBOX_REDIS_URL"]
    assert shared.rpartition("@")[2] == address.partition("://")[2]


SENTINELS = replace(
    ADDRESSES, redis="rediss+sentinel://s-1:1,s-2:2/main/3", redis_primary=lambda: Host("cache-2", 6380)
)


def test_where_sentinels_watch_they_are_named_beside_the_address_of_now(tmp_path):
    owned = replace(sandbox(), redis_database=17)
    isolation = Isolation(Enforcement(), Enforcement(), Enforcement())
    details = connection_details(owned, isolation, SENTINELS, token=SECRET)
    assert details.environment["SANDBOX_REDIS_URL"] == f"rediss://sandbox-{owned.id}:{SECRET}@cache-2:6380/17"
    assert details.environment["SANDBOX_REDIS_SENTINELS"] == "s-1:1,s-2:2"
    assert details.environment["SANDBOX_REDIS_SENTINEL_MASTER"] == "main"
    (tmp_path / ".env").write_text(details.as_dotenv())
    found = read_environment({}, tmp_path / ".env")
    assert found.sentinels is not None
    assert found.sentinels.url_of(Host("cache-2", 6380)) == found.redis_url


def test_sentinels_that_name_nobody_and_those_of_a_team_are_not_handed_out():
    nobody = handed_out(replace(SENTINELS, redis_primary=lambda: None)).environment
    assert not any(name.startswith("SANDBOX_REDIS_") and name != "SANDBOX_REDIS_PREFIX" for name in nobody)
    shared = connection_details(sandbox(), Isolation(), SENTINELS, token=SECRET).environment
    assert "SANDBOX_REDIS_SENTINELS" not in shared


def test_whoever_reads_the_file_is_told_of_an_authority_of_the_teams_own():
    own = handed_out(replace(ADDRESSES, has_own_authority=True))
    assert "save its ca.pem, which the operator has, and set SANDBOX_TLS_CA" in own.as_dotenv()
    assert "SANDBOX_TLS_CA" not in handed_out().as_dotenv() + repr(dict(own.environment))
