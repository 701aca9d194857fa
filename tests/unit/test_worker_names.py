"""The names that tools look for, and the stores' own clients."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sandbox_worker import variables
from sandbox_worker.standard_names import DatabaseForm, standard_names
from sandbox_worker.store_clients import redis_arguments

SCHEMA = "sandbox_1a2b3c4d"
HANDED_OUT = {
    "SANDBOX_ID": "1a2b3c4d-0000-4000-8000-000000000001",
    "SANDBOX_NAME": "blue",
    "SANDBOX_SCHEMA": SCHEMA,
    "SANDBOX_REDIS_PREFIX": "sandbox:1a2b3c4d:",
    "SANDBOX_NATS_PREFIX": "sandbox.1a2b3c4d.",
    "SANDBOX_NATS_STREAM": "SANDBOX_1a2b3c4d",
}
URLS = {
    "SANDBOX_DATABASE_URL": f"postgresql://{SCHEMA}:s3cret@db-1:5433,[::1]/sandboxes?sslmode=require",
    "SANDBOX_REDIS_URL": "rediss://sandbox-1a2b:s3cret@cache/17",
    "SANDBOX_NATS_URL": "tls://id:s3cret@nats-1:4222,tls://id:s3cret@nats-2:4222",
    "PGTARGETSESSIONATTRS": "read-write",
}


@pytest.mark.parametrize(
    ("form", "url"),
    [
        ("postgresql", f"postgresql://{SCHEMA}:s3cret@db-1:5433,[::1]/sandboxes?sslmode=require"),
        ("postgres", f"postgres://{SCHEMA}:s3cret@db-1:5433,[::1]/sandboxes?sslmode=require"),
        ("postgresql+psycopg", f"postgresql+psycopg://{SCHEMA}:s3cret@/sandboxes?sslmode=require"),
        ("postgresql+asyncpg", f"postgresql+asyncpg://{SCHEMA}:s3cret@/sandboxes"),
        ("asyncpg", f"asyncpg://{SCHEMA}:s3cret@/sandboxes"),
        ("jdbc", "jdbc:postgresql://db-1:5433,[::1]/sandboxes?sslmode=require"),
        ("prisma", f"postgresql://{SCHEMA}:s3cret@db-1:5433,[::1]/sandboxes?schema={SCHEMA}"),
    ],
)
def test_each_library_has_its_form_of_the_databases_address(form, url):
    assert standard_names(HANDED_OUT | URLS, DatabaseForm(form))["DATABASE_URL"] == url


def test_what_an_address_says_stands_in_variables_too():
    found = standard_names(HANDED_OUT | URLS)
    assert found | {"DATABASE_URL": ""} == {
        "DATABASE_URL": "",
        "PGHOST": "db-1,::1",
        "PGPORT": "5433,5432",
        "PGUSER": SCHEMA,
        "PGPASSWORD": "s3cret",
        "PGDATABASE": "sandboxes",
        "PGOPTIONS": f"-csearch_path={SCHEMA}",
        "PGSSLMODE": "require",
        "PGTARGETSESSIONATTRS": "read-write",
        "REDIS_URL": URLS["SANDBOX_REDIS_URL"],
        "NATS_URL": URLS["SANDBOX_NATS_URL"],
        "NATS_USER": "id",
        "NATS_PASSWORD": "s3cret",
    }
    assert {name for name, value in found.items() if "s3cret" in value} <= variables.SECRETS


def test_a_driver_that_knows_no_other_search_path_is_told_it_in_the_address():
    plain = HANDED_OUT | {"SANDBOX_DATABASE_URL": f"postgresql://{SCHEMA}:s3cret@db/sandboxes"}
    url = standard_names(plain, DatabaseForm.JDBC)["DATABASE_URL"]
    assert url == f"jdbc:postgresql://db/sandboxes?currentSchema={SCHEMA}"


def test_of_several_databases_the_one_that_takes_writes_is_wanted_unless_somebody_says_otherwise():
    several = HANDED_OUT | {"SANDBOX_DATABASE_URL": f"postgresql://{SCHEMA}:s3cret@db-1:5433,db-2/sandboxes"}
    found = standard_names(several, DatabaseForm.JDBC)
    assert found["DATABASE_URL"] == "jdbc:postgresql://db-1:5433,db-2/sandboxes?targetServerType=primary"
    assert (found["PGHOST"], found["PGPORT"]) == ("db-1,db-2", "5433,5432")
    assert found["PGTARGETSESSIONATTRS"] == "read-write"
    assert standard_names(several | {"PGTARGETSESSIONATTRS": "any"})["PGTARGETSESSIONATTRS"] == "any"


def test_the_teams_authority_stands_where_tools_look_for_it():
    found = standard_names(HANDED_OUT | URLS | {"SANDBOX_TLS_CA": "team/ca.pem"})
    assert (found["PGSSLROOTCERT"], found["NATS_CA"]) == ("team/ca.pem", "team/ca.pem")


def test_a_store_without_a_login_of_the_sandboxes_own_has_no_standard_name():
    assert standard_names(HANDED_OUT) == {}


@pytest.mark.parametrize(
    ("url", "options", "password"),
    [
        (
            "redis://sandbox-1a2b:s3%2Fcret@cache:6380/17",
            ["-h", "cache", "-p", "6380", "-n", "17", "--user", "sandbox-1a2b"],
            "s3/cret",
        ),
        (
            "rediss://u:p@[::1]?ssl_ca_certs=/etc/ca.pem",
            ["-h", "::1", "-p", "6379", "--user", "u", "--tls", "--cacert", "/etc/ca.pem"],
            "p",
        ),
        (
            "rediss://cache",
            ["-h", "cache", "-p", "6379", "--tls", "--cacert", "team/ca.pem"],
            None,
        ),
        ("unix:///run/redis.sock?db=3", ["-s", "/run/redis.sock", "-n", "3"], None),
    ],
)
def test_the_client_of_redis_gets_the_password_by_its_environment_alone(url, options, password):
    found, environ = redis_arguments(url, "team/ca.pem")
    assert found == options
    assert environ.get("REDISCLI_AUTH") == environ.get("VALKEYCLI_AUTH") == password


def run(*arguments, folder, **environ):
    return subprocess.run(
        [sys.executable, "-m", "sandbox_worker", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in (HANDED_OUT | URLS).items()))
    return tmp_path


def test_the_sandboxes_variables_are_printed_and_no_others(folder):
    with (folder / ".env").open("a") as file:
        file.write("MY_SECRET=hunter2\nPGPASSWORD=hunter2\n")
    plain = run("env", "--format", "dotenv", folder=folder, SANDBOX_RUN_FORWARDER="127.0.0.1:1", PGAPPNAME="mine")
    assert plain.stdout == "".join(f"{name}={value}\n" for name, value in (HANDED_OUT | URLS).items())
    exported = run("env", "--database-url", "prisma", folder=folder, SANDBOX_SCHEMA="sandbox_22222222").stdout
    assert "export DATABASE_URL='postgresql://" in exported
    assert "?schema=sandbox_22222222'" in exported
    shell = subprocess.run(["sh", "-c", f'{exported}\nprintf %s "$PGOPTIONS"'], capture_output=True, check=True)
    assert shell.stdout == b"-csearch_path=sandbox_22222222"


@pytest.mark.parametrize(
    ("command", "sentence"), [("psql", "There is no psql on PATH"), ("redis", "no valkey-cli and no redis-cli on PATH")]
)
def test_a_client_that_is_not_installed_is_named_with_its_package(folder, command, sentence):
    done = run(command, folder=folder, PATH=str(folder))
    assert (done.returncode, done.stdout) == (127, "")
    assert sentence in done.stderr
    assert "Install one: " in done.stderr


def test_without_a_sandbox_there_is_nothing_to_print_or_to_log_in_to(tmp_path):
    for command in ("env", "psql", "redis"):
        done = run(command, folder=tmp_path)
        assert done.returncode == 78
        assert "Not set: SANDBOX_ID" in done.stderr
