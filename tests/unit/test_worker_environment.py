"""What a worker reads from its environment."""

from __future__ import annotations

import uuid

import pytest

from sandbox_worker import Sandbox, WrongEnvironment
from sandbox_worker.addresses import Sentinels
from sandbox_worker.dotenv_file import read_dotenv
from sandbox_worker.environment import read_environment

ID = uuid.UUID("1a2b3c4d-0000-4000-8000-000000000001")
HANDED_OUT = {
    "SANDBOX_ID": str(ID),
    "SANDBOX_NAME": "blue",
    "SANDBOX_SCHEMA": "sandbox_1a2b3c4d",
    "SANDBOX_REDIS_PREFIX": f"sandbox:{ID}:",
    "SANDBOX_NATS_PREFIX": f"sandbox.{ID}.",
    "SANDBOX_NATS_STREAM": "SANDBOX_1a2b3c4d",
    "SANDBOX_NATS_URL": "nats://blue:secret@127.0.0.1:4222",
}


@pytest.fixture
def dotenv(tmp_path):
    return tmp_path / ".env"


def test_the_environment_wins_over_the_file(dotenv):
    dotenv.write_text("SANDBOX_NAME=green\nSANDBOX_DISCORD_API=https://discord.example/api/\n")
    found = read_environment(HANDED_OUT, dotenv)
    assert (found.name, found.discord_api) == ("blue", "https://discord.example/api")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=plain", "plain"),
        ("export NAME=exported", "exported"),
        ("  NAME = spaced  # a comment", "spaced"),
        ("NAME=postgresql://ada:pass#word@db/bot", "postgresql://ada:pass#word@db/bot"),
        ("NAME='a \"b\" $HOME `id`'", 'a "b" $HOME `id`'),
        ('NAME="two words" # a comment\'s quote', "two words"),
        ("""NAME='don'"'"'t'""", "don't"),
        ("NAME=", ""),
        ("NAME= # nothing", ""),
        ("NAME='begins here", "'begins here"),
    ],
)
def test_a_line_of_the_file_is_read_as_a_shell_would(line, value):
    assert read_dotenv(f"# a comment\nnoise\n{line}\nOTHER=1") == {"NAME": value, "OTHER": "1"}


def test_all_that_is_missing_is_named_with_the_mend(dotenv):
    environment = {name: value for name, value in HANDED_OUT.items() if name not in {"SANDBOX_ID", "SANDBOX_SCHEMA"}}
    with pytest.raises(WrongEnvironment, match=r"Not set: SANDBOX_ID, SANDBOX_SCHEMA\. Save .* as \.env"):
        Sandbox.from_env(environment, dotenv=dotenv)


def test_an_id_that_is_none_is_named(dotenv):
    with pytest.raises(WrongEnvironment, match="SANDBOX_ID is not a sandbox's id"):
        read_environment(HANDED_OUT | {"SANDBOX_ID": "blue"}, dotenv)


def test_a_store_that_sandboxes_share_is_reached_at_the_teams_address(dotenv):
    shared = {"DATABASE_URL": "postgresql://team", "REDIS_URL": "redis://team", "NATS_URL": "nats://team"}
    found = read_environment(HANDED_OUT | shared, dotenv)
    assert found.nats_url == HANDED_OUT["SANDBOX_NATS_URL"]
    assert (found.database_url, found.redis_url) == ("postgresql://team", "redis://team")


def test_sentinels_are_known_by_variables_or_by_the_teams_address(dotenv):
    told = {"SANDBOX_REDIS_URL": "redis://u:p@cache/7", "SANDBOX_REDIS_SENTINELS": "s-1:1,s-2:2"}
    assert read_environment(HANDED_OUT | told, dotenv).sentinels is None
    found = read_environment(HANDED_OUT | told | {"SANDBOX_REDIS_SENTINEL_MASTER": "main"}, dotenv).sentinels
    assert found == Sentinels.read("redis+sentinel://u:p@s-1:1,s-2:2/main/7")
    team = read_environment(HANDED_OUT | {"REDIS_URL": "redis+sentinel://s-1/main"}, dotenv)
    assert team.sentinels.master == "main"
    with pytest.raises(WrongEnvironment, match="Sentinels of Redis"):
        read_environment(HANDED_OUT | {"REDIS_URL": "redis+sentinel://s-1"}, dotenv)


def test_the_teams_authority_is_the_databases_too_unless_that_has_one(dotenv):
    team = HANDED_OUT | {"DATABASE_URL": "postgresql://db/bot?sslmode=verify-full", "SANDBOX_TLS_CA": "team/ca.pem"}
    found = read_environment(team, dotenv)
    assert (found.tls_ca, found.database_url.count("sslrootcert=team/ca.pem")) == ("team/ca.pem", 1)
    assert "sslrootcert" not in read_environment(team | {"PGSSLROOTCERT": "own.pem"}, dotenv).database_url


def test_an_authority_that_cannot_be_read_is_named(dotenv, tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    for file in ("ca.pem", "nowhere.pem"):
        with pytest.raises(WrongEnvironment, match="SANDBOX_TLS_CA names no certificate that can be read"):
            Sandbox.from_env(HANDED_OUT | {"SANDBOX_TLS_CA": str(tmp_path / file)}, dotenv=dotenv)


def test_without_any_address_of_nats_there_is_no_worker(dotenv):
    with pytest.raises(WrongEnvironment, match="Neither SANDBOX_NATS_URL nor NATS_URL is set"):
        read_environment(HANDED_OUT | {"SANDBOX_NATS_URL": ""}, dotenv)


async def test_a_store_without_an_address_is_missed_when_it_is_used(dotenv):
    async with Sandbox.from_env(HANDED_OUT, dotenv=dotenv) as sandbox:
        with pytest.raises(WrongEnvironment, match="Neither SANDBOX_DATABASE_URL nor DATABASE_URL"):
            _ = sandbox.pg
        with pytest.raises(WrongEnvironment, match="Neither SANDBOX_REDIS_URL nor REDIS_URL"):
            _ = sandbox.redis


async def test_what_is_used_after_the_end_of_the_with_block_says_so(dotenv):
    async with Sandbox.from_env(HANDED_OUT, dotenv=dotenv) as sandbox:
        pass
    with pytest.raises(RuntimeError, match="outside its `async with`"):
        await sandbox.publish("too late")
