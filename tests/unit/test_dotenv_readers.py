"""The `.env` that is handed out, read by each of the programs that people have it read by."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from dotenv import dotenv_values

from bot.sandboxes.access.connection import WorkerAddresses, connection_details
from bot.sandboxes.access.isolation import Enforcement, Isolation
from sandbox_worker.addresses import WrongAddress, fit
from sandbox_worker.dotenv_file import read_dotenv
from sandbox_worker.environment import read_environment
from tests.unit.test_limits import sandbox

CLUSTER = WorkerAddresses(
    "postgresql://db-1.example.com:5432,db-2.example.com:5432/sand~boxes"
    "?sslmode=verify-full&target_session_attrs=read-write&options=-c%20statement_timeout%3D5s",
    "rediss://[2001:db8::1]:6380/17?ssl_cert_reqs=required",
    "tls://nats-1.example.com:4222,tls://nats-2.example.com:4222",
    "https://discord.example/api/v10",
    relay="https://relay.example",
    bot_id=10**17,
)
ODD_REASON = 'the server isn\'t new enough: "6.2" $HOME `id` & # \\'


def by_docker(path):
    """As its documentation has it: lines with # are comments, and everything behind the first = is the value."""
    lines = [line for line in path.read_text().splitlines() if line.lstrip() and not line.lstrip().startswith("#")]
    return dict(line.lstrip().split("=", 1) for line in lines)


def by_systemd(path):
    """EnvironmentFile= of systemd.exec(5): lines with # or ; are comments, a backslash at the end of a line joins the
    next one to it, and quotes and the spaces around are taken off."""
    joined = path.read_text().replace("\\\n", "")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and line.strip()[0] not in "#;"]
    pairs = (line.split("=", 1) for line in lines)
    return {name.strip(): value.strip().strip("'\"").replace("\\", "") for name, value in pairs}


def printed(*command, cwd):
    """The environment of a program that the command ends in, which prints it with NULs between."""
    done = subprocess.run(command, cwd=cwd, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    return dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)


def by_make(path):
    (path.parent / "Makefile").write_text("include .env\nexport\nall:\n\t@env -0\n")
    return printed("make", "--silent", cwd=path.parent)


def by_shell(shell):
    return lambda path: printed(shell, "-c", "set -a; . ./.env; env -0", cwd=path.parent)


def by_xargs(path):
    return printed("sh", "-c", "env $(grep -v '^#' .env | xargs) env -0", cwd=path.parent)


def by_node(path):
    program = "for (const [name, value] of Object.entries(process.env)) process.stdout.write(`${name}=${value}\\0`)"
    return printed("node", "--env-file=.env", "-e", program, cwd=path.parent)


READERS = {
    "docker": by_docker,
    "systemd": by_systemd,
    "make": by_make,
    "bash": by_shell("bash"),
    "dash": by_shell("dash"),
    "xargs": by_xargs,
    "node": by_node,
    "python-dotenv": dotenv_values,
    "sandbox-worker": lambda path: read_dotenv(path.read_text()),
}


@pytest.fixture
def details():
    isolation = Isolation(Enforcement(), Enforcement(ODD_REASON, has_logins=True), Enforcement())
    made = connection_details(
        replace(sandbox(), guild_ids=(10**17, 10**18)), isolation, CLUSTER, token="s3cret-of_the-sandbox"
    )
    return replace(made, remarks=(ODD_REASON, *made.remarks, "ends in a backslash \\"))


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_of_the_file_reads_the_same(reader, details, tmp_path):
    if reader in {"make", "bash", "dash", "node", "xargs"} and shutil.which(reader) is None:
        pytest.skip(f"{reader} is not here")
    (tmp_path / ".env").write_text(details.as_dotenv())
    found = READERS[reader](tmp_path / ".env")
    wanted = dict(details.environment)
    assert {name: found.get(name) for name in wanted} == wanted
    foreign = {name for name in found if name.startswith(("SANDBOX_", "PG"))} - set(wanted)
    assert foreign == set()


def test_no_value_needs_quotes_and_an_address_has_one_parameter_at_most(details):
    assert not set("&#$'\"\\` ").intersection("".join(details.environment.values()))
    assert all(value.count("?") <= 1 and "&" not in value for value in details.environment.values())
    assert details.environment["SANDBOX_DATABASE_URL"].endswith("/sand%7Eboxes?sslmode=verify-full")
    assert details.environment["PGTARGETSESSIONATTRS"] == "read-write"
    assert details.environment["PGOPTIONS"] == "-cstatement_timeout=5s"


def test_each_address_of_a_cluster_has_the_login_and_so_have_two_variables(details):
    login = f"{details.sandbox.id}:s3cret-of_the-sandbox"
    nats = details.environment["SANDBOX_NATS_URL"]
    assert nats == f"tls://{login}@nats-1.example.com:4222,tls://{login}@nats-2.example.com:4222"
    both = details.environment["SANDBOX_NATS_USER"], details.environment["SANDBOX_NATS_PASSWORD"]
    assert ":".join(both) == login


@pytest.mark.parametrize(
    ("address", "url", "variables"),
    [
        ("postgresql://db/bot?sslmode=require", "postgresql://db/bot?sslmode=require", {}),
        ("postgresql://db/bot?connect_timeout=5", "postgresql://db/bot?connect_timeout=5", {}),
        ("postgresql:///bot?host=/run/pg&sslmode=disable", "postgresql:/bot?host=/run/pg", {"PGSSLMODE": "disable"}),
        (
            "postgresql://db/bot?options=-c%20a%3Db%20-c%20c%3Dd&sslmode=require",
            "postgresql://db/bot?options=-c%20a%3Db%20-c%20c%3Dd",
            {"PGSSLMODE": "require"},
        ),
        (
            "postgresql://db-1:5433,db-2/bot?sslmode=require",
            "postgresql://db-1:5433,db-2/bot?sslmode=require",
            {"PGTARGETSESSIONATTRS": "read-write"},
        ),
        (
            "postgresql://db-1,db-2/bot?target_session_attrs=any",
            "postgresql://db-1,db-2/bot?target_session_attrs=any",
            {},
        ),
        ("redis+sentinel://s-1,s-2/main/0?sentinel_password=hunter2", "redis+sentinel://s-1,s-2/main/0", {}),
        ("postgres://db/the bot's", "postgres://db/the%20bot%27s", {}),
        ("redis://cache/3?socket_timeout=5", "redis://cache/3?socket_timeout=5", {}),
        ("tls://bus:4222?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false", "tls://bus:4222", {}),
    ],
)
def test_what_an_address_has_no_room_for_stands_in_variables(address, url, variables):
    assert fit(address) == (url, variables)


def test_no_parameter_of_the_operators_that_logs_in_is_handed_out():
    address = "postgresql://db/bot?user=bot&password=hunter2&passfile=/etc/pass&sslmode=require"
    assert fit(address) == ("postgresql://db/bot?sslmode=require", {})
    assert fit("redis://cache?password=hunter2&username=bot") == ("redis://cache", {})


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("redis://cache?socket_timeout=5&protocol=3", "the parameters protocol, socket_timeout, of which only one"),
        ("postgresql://db/bot?host=/run&keepalives=1", "the parameters host, keepalives, of which only one"),
        ("postgresql://d b/bot", "only as %XX"),
        ("nats://bus:4222#fragment", "only as %XX"),
    ],
)
def test_an_address_that_has_no_place_in_the_file_is_refused(address, complaint):
    with pytest.raises(WrongAddress, match=complaint):
        fit(address)


def test_the_kit_reads_variables_of_the_file_as_if_they_stood_in_the_address(details, tmp_path):
    (tmp_path / ".env").write_text(details.as_dotenv())
    url = read_environment({}, tmp_path / ".env").database_url
    assert "sslmode=verify-full" in url
    assert "target_session_attrs=read-write" in url
    assert "options=-cstatement_timeout%3D5s" in url
    chosen = read_environment({"PGTARGETSESSIONATTRS": "any"}, tmp_path / ".env").database_url
    assert "target_session_attrs=any" in chosen
