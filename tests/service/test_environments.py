"""`sandbox-bot check` says of each environment what docs/environments.md says."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.stores.embedded import EmbeddedStores, Programs
from bot.stores.embedded.programs import postgres_program
from local_discord import LocalDiscord
from tests.checks import PATIENT
from tests.cluster.postgres_servers import PostgresPair
from tests.cluster.servers import WITH_TLS
from tests.cluster.valkey_servers import GROUP, ValkeyGroup
from tests.forks import run_command
from tests.service.other_servers import needs_debians_postgres, needs_pgbouncer, pgbouncer, valkey
from tests.service.servers import INSTALLED_REDIS, needs_redis

_PAGE = Path(__file__).parents[2] / "docs" / "environments.md"
_OLD_REDIS = os.environ.get("OLD_REDIS_SERVER")
_SIXTEEN = Path(postgres_program("postgres")).parents[2] / "pginstall" / "bin"


def outcome_of(environment):
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", _PAGE.read_text(), re.MULTILINE))
    return rows[environment]


@asynccontextmanager
async def as_it_is(stores, dsn, folder):
    yield {}


def embedded_postgres(programs):
    @asynccontextmanager
    async def serve(stores, dsn, folder):
        async with EmbeddedStores(
            folder, stores=frozenset({"postgres"}), durable=False, programs=Programs(postgres=programs)
        ) as other:
            yield {"DATABASE_URL": other.database_url}

    return serve


def pooled(mode):
    @asynccontextmanager
    async def serve(stores, dsn, folder):
        async with pgbouncer(folder, dsn, mode) as url:
            yield {"DATABASE_URL": url}

    return serve


@asynccontextmanager
async def primary_and_standby(stores, dsn, folder):
    async with PostgresPair(folder) as pair:
        yield {"DATABASE_URL": pair.url()}


@asynccontextmanager
async def standby(stores, dsn, folder):
    async with PostgresPair(folder) as pair:
        yield {"DATABASE_URL": pair.url(pair.standby)}


def one_valkey(*options, program=None):
    @asynccontextmanager
    async def serve(stores, dsn, folder):
        async with valkey(folder, *options, program=program) as url:
            yield {"REDIS_URL": url}

    return serve


@asynccontextmanager
async def sentinels(stores, dsn, folder):
    async with ValkeyGroup(folder) as group:
        host, port = group.sentinels[0]
        yield {"REDIS_URL": f"redis+sentinel://default:{group.password}@{host}:{port}/{GROUP}/0"}


@asynccontextmanager
async def replica(stores, dsn, folder):
    async with ValkeyGroup(folder) as group:
        yield {"REDIS_URL": group.url("valkey-2")}


def case(environment, serve, *marks):
    return pytest.param(environment, serve, id=environment, marks=marks)


_LONG = pytest.mark.long
_NEEDS_OLD_REDIS = pytest.mark.skipif(_OLD_REDIS is None, reason="no Redis 6.2 (make breakout installs one)")


@pytest.mark.parametrize(
    ("environment", "serve"),
    [
        case("PostgreSQL 18", as_it_is),
        case("PostgreSQL 16", embedded_postgres(_SIXTEEN), _LONG),
        case("PostgreSQL 15", embedded_postgres(WITH_TLS.postgres), _LONG, needs_debians_postgres),
        case("A primary and a standby", primary_and_standby, _LONG),
        case("A standby alone", standby, _LONG),
        case("PgBouncer, `pool_mode = session`", pooled("session"), _LONG, needs_pgbouncer),
        case("PgBouncer, `pool_mode = transaction` or `statement`", pooled("transaction"), _LONG, needs_pgbouncer),
        case("Redis 7.0", one_valkey(program=str(INSTALLED_REDIS)), _LONG, needs_redis),
        case("Redis 6.2", one_valkey(program=_OLD_REDIS), _LONG, _NEEDS_OLD_REDIS),
        case("Sentinels", sentinels, _LONG),
        case("A replica alone", replica, _LONG),
        case("Redis Cluster, Valkey Cluster", one_valkey("--cluster-enabled", "yes")),
    ],
)
async def test_check_says_what_the_page_says(stores, dsn, tmp_path, environment, serve, nats_client, redis_client):
    callout = stores.nats_callout
    async with serve(stores, dsn, tmp_path / "servers") as changes, LocalDiscord() as discord:
        variables = {
            "PATH": os.environ["PATH"],
            "DISCORD_TOKEN": discord.token,
            "BOT_DISCORD__API_BASE": discord.api_base,
            "DATABASE_URL": dsn,
            "REDIS_URL": stores.redis_url,
            "NATS_URL": stores.nats_url,
            "NATS_AUTH_URL": callout.auth_url,
            "NATS_SYSTEM_URL": callout.system_url,
            "NATS_ACCOUNT_SEED": callout.account_seed,
        }
        checked = await asyncio.to_thread(run_command, ["check", *PATIENT], cwd=tmp_path, env=variables | changes)
    expected = outcome_of(environment)
    if expected.startswith("works"):
        assert checked.returncode == 0, checked.stderr
    else:
        (sentence,) = re.findall(r"^refused: `(.+)`$", expected)
        assert checked.returncode != 0
        assert sentence in " ".join(checked.stderr.split())
