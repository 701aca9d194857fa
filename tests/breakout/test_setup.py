"""Servers that enforce nothing are named with the reason, and the main job still works there."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import asyncpg
import nats
import pytest
import redis.asyncio
from loguru import logger
from pydantic import SecretStr
from redis.exceptions import NoPermissionError

from bot.control_plane import open_control_plane, serve_workers
from bot.settings import Isolation, Nats, Postgres, Redis, Settings, SettingsError
from bot.stores.embedded.programs import nats_program, valkey_program
from bot.stores.nats_jwt import account_of
from bot.stores.opening import open_stores
from bot.stores.redis import RedisStore
from bot.supervisor import State, Supervisor
from tests.breakout.by_hand import free_port, until_listening
from tests.breakout.conftest import ADA
from tests.conftest import create_database, drop_database, store_settings
from tests.forks import run_command
from tests.service.servers import INSTALLED_REDIS, needs_redis

pytestmark = pytest.mark.parametrize("servers", ["embedded"], indirect=True, scope="package")


@pytest.fixture
async def dsn(servers):
    database = f"setup_{uuid.uuid4().hex[:8]}"
    await create_database(servers, database, "template1")
    yield servers.database_url.rpartition("/")[0] + "/" + database
    await drop_database(servers, database)


@pytest.fixture
def open_bot(servers, dsn):
    """On the servers, but for the sections given."""

    @asynccontextmanager
    async def open_(**sections):
        settings = Settings(**{**store_settings(servers, dsn), **sections})
        async with AsyncExitStack() as stack:
            stores = await stack.enter_async_context(open_stores(settings))
            yield await stack.enter_async_context(open_control_plane(settings, stores)), stores

    return open_


@asynccontextmanager
async def running(argv, port):
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await until_listening(port)
        yield
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def open_redis_without_a_password():
    port, program = free_port(), valkey_program()
    async with running([program, "--port", str(port), "--save", ""], port):
        yield Redis(url=SecretStr(f"redis://127.0.0.1:{port}"))


@asynccontextmanager
async def open_plain_nats(folder, config=""):
    port = free_port()
    path = folder / "nats.conf"
    path.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/js" }}\n{config}')
    async with running([nats_program(), "-c", str(path)], port):
        yield port


async def do_the_main_job(manager, stores):
    sandbox = await manager.create(ADA, guild_ids=[200_000_000_000_000_001])
    await stores.nats.jetstream().publish(f"{sandbox.nats_prefix}events.X", b"{}")
    health = await manager.get_health(sandbox.id)
    assert health.ok
    assert health.nats.figures["messages"] == 1
    await manager.issue_credentials(ADA, sandbox.id, rotate=True)
    await manager.extend_ttl(ADA, sandbox.id, timedelta(hours=1))
    await manager.access.reconcile(timedelta(hours=1))
    assert (await manager.destroy(ADA, sandbox.id)).status == "destroyed"


async def test_redis_that_lets_anybody_in(open_bot):
    async with open_redis_without_a_password() as section, open_bot(redis=section) as (manager, stores):
        assert str(manager.access.isolation.redis).startswith("by convention: anybody may connect")
        assert manager.access.isolation.postgres.enforced
        await do_the_main_job(manager, stores)


async def test_redis_whose_bot_may_not_manage_users(open_bot, servers):
    default = redis.asyncio.from_url(servers.redis_url)
    await default.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">pw", "~*", "&*", "+@all", "-acl")
    section = Redis(url=SecretStr("redis://poor:pw@" + servers.redis_url.rpartition("@")[2]))
    async with open_bot(redis=section) as (manager, stores):
        assert str(manager.access.isolation.redis).startswith("by convention: no rights to manage users")
        await do_the_main_job(manager, stores)
    await default.execute_command("ACL", "DELUSER", "poor")
    await default.aclose()


@needs_redis
async def test_redis_that_is_too_old_to_be_relied_on(open_bot):
    """Each sandbox has its login all the same: without what has fallen, it is better than none."""
    async with open_installed_redis() as section, open_bot(redis=section) as (manager, stores):
        isolation = manager.access.isolation
        assert str(isolation.redis).startswith("by convention: Redis 7.0.")
        assert "CVE-2025-32023" in str(isolation.redis)
        sandbox = await manager.create(ADA)
        details = await manager.issue_credentials(ADA, sandbox.id, rotate=True)
        assert details.remarks == ()
        async with redis.asyncio.from_url(details.environment["SANDBOX_REDIS_URL"]) as worker:
            await worker.set(sandbox.redis_prefix + "x", 1)
            for command in ("PFADD {}h 1", "PFMERGE other", "SSCAN {}s 0", "GEORADIUS {}g 1 1 1 km"):
                with pytest.raises(NoPermissionError):
                    await worker.execute_command(*command.format(sandbox.redis_prefix).split())
        assert (await stores.redis.config_get("acllog-max-len"))["acllog-max-len"] == "0"
        await manager.destroy(ADA, sandbox.id)
        assert await stores.redis.acl_users() == ["default"]


@asynccontextmanager
async def open_installed_redis():
    port = free_port()
    argv = [str(INSTALLED_REDIS), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "pw"]
    async with running(argv, port):
        yield Redis(url=SecretStr(f"redis://:pw@127.0.0.1:{port}"))


async def test_redis_that_keeps_refusals_is_told_of(servers):
    default = redis.asyncio.from_url(servers.redis_url)
    await default.execute_command("ACL", "SETUSER", "half", "reset", "on", ">pw", "~*", "&*", "+@all", "-config|set")
    half = redis.asyncio.from_url("redis://half:pw@" + servers.redis_url.rpartition("@")[2])
    await default.config_set("acllog-max-len", 128)
    assert await RedisStore(half).probe() is None
    assert await RedisStore(half).keeps_refusals()
    assert await RedisStore(default).probe() is None
    assert not await RedisStore(half).keeps_refusals()
    await half.aclose()
    await default.execute_command("ACL", "DELUSER", "half")
    await default.aclose()


async def test_a_trial_of_redis_leaves_no_user_nor_those_of_processes_that_were_killed(servers, monkeypatch):
    client = redis.asyncio.from_url(servers.redis_url, decode_responses=True)
    for user in ("sandbox-probe", "sandbox-probe-0123456789abcdef", "sandbox-prober", "sandbox-probe-team"):
        await client.execute_command("ACL", "SETUSER", user, "on", ">pw", "+@all", "~*")
    made = await watch_acl(client, RedisStore(client).probe())
    assert re.search(r"sandbox-probe-[0-9a-f]{16} off ", made)
    assert await probe_users(client) == {"sandbox-prober", "sandbox-probe-team"}
    monkeypatch.setattr("bot.stores.redis_acl.BY_PREFIX", ["+nonsense"])
    await client.execute_command("ACL", "SETUSER", "sandbox-probe-0123456789abcdef")
    assert "nonsense" in (await RedisStore(client).probe() or "")
    assert await probe_users(client) == {"sandbox-prober", "sandbox-probe-team"}
    await client.acl_deluser("sandbox-prober", "sandbox-probe-team")
    await client.aclose()


async def probe_users(client):
    """Those whose names begin like a probe's; the server is shared with sandboxes of other tests."""
    return {user for user in await client.acl_users() if user.startswith("sandbox-prob")}


async def watch_acl(client, probing):
    """All users that there were at any time while it was probed: each SETUSER is followed by a look at the list."""
    seen, ask = [], client.acl_users

    async def look():
        seen.extend(await client.acl_list())
        return await ask()

    client.acl_users = look
    assert await probing is None
    client.acl_users = ask
    return "\n".join(line.replace("user ", "") for line in seen)


async def test_nats_without_the_callouts_secrets(open_bot, servers):
    async with open_bot(nats=Nats(url=SecretStr(servers.nats_url))) as (manager, stores):
        assert str(manager.access.isolation.nats).startswith("by convention: NATS_AUTH_URL")
        await do_the_main_job(manager, stores)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        pytest.param("", "anybody may connect", id="open"),
        pytest.param('authorization { user: "bot", password: "pw" }', "does not ask the bot", id="one-user"),
    ],
)
async def test_nats_that_does_not_ask(open_bot, servers, tmp_path, config, reason):
    async with open_plain_nats(tmp_path, config) as port:
        url = SecretStr(f"nats://bot:pw@127.0.0.1:{port}")
        section = Nats(url=url, auth_url=url, system_url=url, account_seed=SecretStr(servers.nats_callout.account_seed))
        async with open_bot(nats=section) as (manager, _):
            assert reason in str(manager.access.isolation.nats)


async def test_nats_whose_workers_would_be_in_an_account_with_jetstream(open_bot, servers, tmp_path):
    """There an answer led to `$JS.API.STREAM.DELETE.…` deletes a stream of another's."""
    seed = servers.nats_callout.account_seed
    config = f"""
    system_account: SYS
    accounts {{
      APP {{ users: [{{ user: auth, password: pw }}] }}
      SANDBOX {{ jetstream: enabled, users: [{{ user: bot, password: pw }}] }}
      SYS {{ users: [{{ user: sys, password: pw }}] }}
    }}
    authorization {{ auth_callout {{ issuer: {account_of(seed)}, account: APP, auth_users: [auth, bot, sys] }} }}
    """
    async with open_plain_nats(tmp_path, config) as port:
        urls = {key: SecretStr(f"nats://{user}:pw@127.0.0.1:{port}") for key, user in _USERS.items()}
        async with open_bot(nats=Nats(**urls, account_seed=SecretStr(seed))) as (manager, _):
            assert "the account SANDBOX has JetStream" in str(manager.access.isolation.nats)


async def test_nats_whose_callout_is_in_the_workers_account_is_named_and_works(open_bot, servers, tmp_path):
    """As `examples/nats.conf` of 0.1.0 has it: there workers can have answers sent to the callout."""
    seed = servers.nats_callout.account_seed
    config = f"""
    system_account: SYS
    accounts {{
      APP {{ jetstream: enabled, users: [{{ user: bot, password: pw }}] }}
      SANDBOX {{ users: [{{ user: auth, password: pw }}] }}
      SYS {{ users: [{{ user: sys, password: pw }}] }}
    }}
    authorization {{ auth_callout {{ issuer: {account_of(seed)}, account: SANDBOX, auth_users: [auth, bot, sys] }} }}
    """
    told = []
    number = logger.add(lambda line: told.append(line.record["message"]), level="WARNING")
    async with open_plain_nats(tmp_path, config) as port:
        urls = {key: SecretStr(f"nats://{user}:pw@127.0.0.1:{port}") for key, user in _USERS.items()}
        async with open_bot(nats=Nats(**urls, account_seed=SecretStr(seed))) as (manager, stores):
            assert manager.access.isolation.nats.enforced
            async with Supervisor() as supervisor, serve_workers(stores, manager, supervisor):
                await do_the_main_job(manager, stores)
                assert {part.state for part in supervisor.parts.values()} == {State.RUNNING}
    logger.remove(number)
    assert any("examples/nats.conf" in line for line in told)


_USERS = {"url": "bot", "auth_url": "auth", "system_url": "sys"}


async def test_postgresql_whose_bot_may_not_make_roles(open_bot, servers, dsn):
    database = dsn.rpartition("/")[2]
    superuser = await asyncpg.connect(servers.superuser_url(database))
    await superuser.execute(
        f"CREATE ROLE poor LOGIN PASSWORD 'pw'; ALTER DATABASE {database} OWNER TO poor;"
        "GRANT ALL ON SCHEMA public TO poor"
    )
    section = Postgres(dsn=SecretStr(re.sub("//.*@", "//poor:pw@", dsn)))
    async with open_bot(postgres=section) as (manager, stores):
        assert "the bot's role may not create roles" in str(manager.access.isolation.postgres)
        await do_the_main_job(manager, stores)
    await superuser.execute(f"DROP OWNED BY poor CASCADE; ALTER DATABASE {database} OWNER TO sandbox_bot")
    await superuser.execute("DROP ROLE poor")
    await superuser.close()


@pytest.mark.parametrize("schema", ["public", "sandbox_control"])
async def test_postgresql_with_an_open_schema_of_the_bots(open_bot, servers, dsn, schema):
    async with open_bot():
        """Migrated, which closes it."""
    superuser = await asyncpg.connect(servers.superuser_url(dsn.rpartition("/")[2]))
    await superuser.execute(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
    await superuser.close()
    async with open_bot() as (manager, stores):
        assert f"everybody may use the schema {schema}" in str(manager.access.isolation.postgres)
        await do_the_main_job(manager, stores)


async def test_required_isolation_refuses_to_start_with_the_reason(open_bot, servers):
    with pytest.raises(SettingsError, match=r"isolation.require: nats by convention: NATS_AUTH_URL"):
        async with open_bot(nats=Nats(url=SecretStr(servers.nats_url)), isolation=Isolation(require=True)):
            """Never."""


async def test_the_command_line_ends_with_78_then(servers, dsn, tmp_path):
    """And says why, without a secret."""
    secrets_ = {"DATABASE_URL": dsn, "REDIS_URL": servers.redis_url, "NATS_URL": servers.nats_url}
    settings = {"DISCORD_TOKEN": "x", "BOT_ISOLATION__REQUIRE": "true", "BOT_LOG__LEVEL": "DEBUG"}
    environment = {**os.environ, **secrets_, **settings}
    ended = await asyncio.to_thread(run_command, ["run"], cwd=tmp_path, env=environment)
    output = ended.stdout + ended.stderr
    assert (ended.returncode, "isolation.require: nats by convention" in output) == (78, True), output
    assert not any(part in output for url in secrets_.values() if (part := url.split(":")[2].split("@")[0]))


async def test_no_secret_is_logged_at_any_level(servers, dsn, open_bot):
    lines: list[str] = []
    sink, handler = logger.add(lines.append, level=0), _Collector(lines)
    logging.getLogger().addHandler(handler)
    levels = {name: logging.getLogger(name).level for name in ("asyncio", "asyncpg", "nats", "redis")}
    for name in levels:
        logging.getLogger(name).setLevel(1)
    async with open_bot() as (manager, stores):
        sandbox = await manager.create(ADA)
        urls = (await manager.issue_credentials(ADA, sandbox.id, rotate=True)).environment
        token = urls["SANDBOX_REDIS_URL"].partition("@")[0].rpartition(":")[2]
        row = await stores.pool.fetchrow("SELECT scram_verifier, token_sha256 FROM sandbox_credentials")
        await (await asyncpg.connect(urls["SANDBOX_DATABASE_URL"])).close()
        await (await nats.connect(urls["SANDBOX_NATS_URL"])).close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(urls["SANDBOX_DATABASE_URL"], password=token + "x")
        await manager.issue_credentials(ADA, sandbox.id, rotate=True)
        await manager.destroy(ADA, sandbox.id)
    logger.remove(sink)
    logging.getLogger().removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    text = "".join(map(str, lines))
    assert "sandbox created" in text
    assert not any(secret in text for secret in (token, *row, servers.nats_callout.account_seed))


class _Collector(logging.Handler):
    def __init__(self, lines):
        super().__init__(1)
        self._lines = lines

    def emit(self, record):
        self._lines.append(record.getMessage())
