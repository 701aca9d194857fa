"""`sandbox-bot` as a process of its own, as an operator runs it."""

import asyncio
import json
import os
import signal
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from local_discord import LocalDiscord
from tests.checks import PATIENT, check
from tests.conftest import create_database, drop_database
from tests.e2e.bot_process import BOT_WITH_SHORT_LEASES, Bots, addresses_of, servers_in
from tests.e2e.conftest import text, title
from tests.forks import run_command
from tests.service.managed_nats import managed_nats, url, write_credentials
from tests.streams import sandbox_streams


@pytest.fixture
async def start(tmp_path, discord):
    """Starts the bot, which is ready when this returns."""
    async with Bots(discord, tmp_path) as bots:

        async def run(**environment):
            bot = await bots.start_connected(**environment)
            await discord.wait_ready(10)
            return bot

        yield run


def refuse(tmp_path, *arguments, **environment):
    keep = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    keep["PYTHONPATH"] = str(Path(__file__).parents[2])
    return run_command(arguments, cwd=tmp_path, env=keep | environment)


def environment_on(stores, dsn, discord, *, callout=False):
    """That of a bot on the session's stores, and nothing else."""
    own = {"PATH": os.environ["PATH"], "DISCORD_TOKEN": discord.token, "BOT_DISCORD__API_BASE": discord.api_base}
    return own | addresses_of(stores, dsn, callout=callout)


async def test_a_token_is_all_it_needs_and_sandboxes_survive_a_restart(discord, start, tmp_path):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    bot = await start()
    reply = await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
    assert title(reply.message) == "Sandbox “blue” is running"
    assert {"postgres", "valkey-server", "nats-server"} <= set(servers_in(tmp_path / "data"))
    code, took = await bot.stop()
    assert (code, took < 5) == (0, True)
    assert servers_in(tmp_path / "data") == []

    bot = await start(BOT_SANDBOXES__ACTIVITY_EVERY="1s")
    reply = await ada.command("sandbox status", channel=lab.general, sandbox="blue")
    assert "❌" not in str(reply.message.embeds)
    await ada.send(lab.general, "still there?")

    async def stored():
        again = await ada.command("sandbox status", channel=lab.general, sandbox="blue")
        return "0 events" not in str(again.message.embeds)

    async with asyncio.timeout(10):
        while not await stored():
            await asyncio.sleep(0.05)
    assert not any("Traceback" in line or discord.token in line for line in bot.lines)
    assert sum("ready: 1 server, 1 sandbox, embedded stores in data" in line for line in bot.lines) == 1
    await bot.stop()


@pytest.mark.long
async def test_nothing_outlives_a_bot_that_is_killed_and_it_starts_again(discord, start, tmp_path):
    bot = await start()
    await bot.stop(signal.SIGKILL)
    async with asyncio.timeout(10):
        while servers_in(tmp_path / "data"):
            await asyncio.sleep(0.02)
    bot = await start()
    assert (await bot.stop())[0] == 0


def guardian_of(bot):
    """The process that supervises the embedded servers."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == bot.process.pid and b"bot.stores.guardian" in stat.with_name("cmdline").read_bytes():
                return int(stat.parent.name)
        except OSError:
            continue
    return None


@pytest.mark.long
@pytest.mark.timeout(120)  # five starts
async def test_a_killed_guardian_is_started_again_on_the_same_data_and_at_the_fourth_time_the_bot_ends(discord, start):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    bot = await start()
    await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
    killed = set()
    for number in range(1, 5):
        async with asyncio.timeout(20):
            while (guardian := guardian_of(bot)) is None or guardian in killed:
                await asyncio.sleep(0.02)
        killed.add(guardian)
        os.kill(guardian, signal.SIGKILL)
        if number < 4:
            async with asyncio.timeout(30):
                while sum("embedded stores run again" in line for line in bot.lines) < number:
                    await asyncio.sleep(0.02)
                while "❌" in text(await ada.command("sandbox status", channel=lab.general, sandbox="blue")):
                    await asyncio.sleep(0.1)
    assert await asyncio.wait_for(bot.process.wait(), 20) == 69
    assert sum("a part failed" in line for line in bot.lines) == 0
    assert "guardian" in bot.lines[-1].lower()
    again = await start()
    reply = await ada.command("sandbox status", channel=lab.general, sandbox="blue")
    assert "❌" not in str(reply.message.embeds)
    await again.stop()


@pytest.mark.long
async def test_the_same_on_servers_started_by_hand(discord, start, stores, dsn, tmp_path, nats_client, redis_client):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    bot = await start(**addresses_of(stores, dsn))
    reply = await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
    assert title(reply.message) == "Sandbox “blue” is running"
    await ada.send(lab.general, "hello")
    connection = await asyncpg.connect(dsn)
    sandbox_id = await connection.fetchval("SELECT id FROM sandboxes WHERE name = 'blue'")
    await connection.close()
    stream = f"SANDBOX_{sandbox_id.hex[:8]}"
    async with asyncio.timeout(10):
        while (await nats_client.jetstream().stream_info(stream)).state.messages == 0:
            await asyncio.sleep(0.02)
    code, took = await bot.stop(signal.SIGINT)
    assert (code, took < 5) == (0, True)
    assert not (tmp_path / "data").exists()


@pytest.mark.long
async def test_a_bot_that_is_killed_again_and_again_under_load_loses_and_doubles_nothing(
    discord, tmp_path, stores, dsn, nats_client, redis_client
):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    async with Bots(discord, tmp_path, addresses_of(stores, dsn), BOT_WITH_SHORT_LEASES) as bots:
        bot = await bots.start_connected()
        await discord.wait_ready(10)
        await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
        sent: list[str | None] = []
        enough = asyncio.Event()

        async def load():
            while not enough.is_set():
                sent.append(
                    await discord.dispatch("TYPING_START", {"guild_id": str(lab.id), "n": len(sent)}, guild_id=lab.id)
                )
                await asyncio.sleep(0.002)

        loading = asyncio.create_task(load())
        for _ in range(3):
            goal = len(sent) + 200
            while len(sent) < goal:
                await asyncio.sleep(0.01)
            await bot.stop(signal.SIGKILL)
            bot = await bots.start_connected()
            await discord.wait_ready(10)
        enough.set()
        await loading

        (stream,) = await sandbox_streams(nats_client.jetstream())
        events = await nats_client.jetstream().subscribe("sandbox.*.events.>", ordered_consumer=True)
        stored = [(await events.next_msg(timeout=10)).data.decode() for _ in sent]
        assert stored == sent
        state = (await nats_client.jetstream().stream_info(stream.config.name)).state
        assert (state.messages, discord.identifies, discord.resumes) == (len(sent), 1, 3)


@pytest.mark.parametrize(
    ("environment", "code", "named"),
    [
        ({}, 78, "DISCORD_TOKEN"),
        ({"DISCORD_TOKEN": "t", "BOT_SANDBOXES__GRACE": "soon"}, 78, "sandboxes.grace"),
        ({"DISCORD_TOKEN": "t", "BOT_SANDBOXES__GRADE": "1h"}, 78, "sandboxes.grace"),
        ({"DISCORD_TOKEN": "t", "DATABASE_URL": "postgresql://u:hunter22@127.0.0.1:9/x"}, 69, "PostgreSQL"),
    ],
)
def test_a_start_that_cannot_work_ends_with_one_line_and_its_exit_code(tmp_path, environment, code, named):
    ended = refuse(tmp_path, "run", **environment, BOT_LOG__LEVEL="ERROR")
    assert ended.returncode == code
    assert len(ended.stderr.strip().splitlines()) == 1
    assert named in ended.stderr
    assert "hunter22" not in ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["sandbox", "list", "--json"],
        ["sandbox", "create", "blue", "--owner", "100000000000000001", "--json"],
        ["sandbox", "orphans"],
        ["migrate"],
        ["rotate-keys"],
        ["sync"],
    ],
)
@pytest.mark.parametrize("folder", [None, "data"])
def test_a_command_where_no_bot_has_run_says_so_and_makes_no_data_folder(tmp_path, command, folder):
    if folder:
        (tmp_path / folder).mkdir()  # somebody else's
    ended = refuse(tmp_path, *command, DISCORD_TOKEN="t", BOT_LOG__LEVEL="ERROR")
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (78, "", 1)
    assert str(tmp_path / "data") in ended.stderr
    assert "BOT_EMBEDDED__FOLDER" in ended.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ([folder] if folder else [])
    if "--json" in command:
        assert json.loads(ended.stderr)["error"]["code"] == "CONFIGURATION"


@pytest.mark.parametrize("missing", ["REDIS_URL", "NATS_URL"])
def test_an_unreachable_store_is_named(tmp_path, dsn, stores, missing):
    addresses = addresses_of(stores, dsn)
    addresses[missing] = f"{missing.split('_')[0].lower()}://user:hunter22@127.0.0.1:9"
    ended = refuse(tmp_path, "run", DISCORD_TOKEN="t", BOT_LOG__LEVEL="ERROR", **addresses)
    assert ended.returncode == 69
    assert missing.split("_")[0] in ended.stderr.upper()
    assert "hunter22" not in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_token_that_discord_refuses_is_a_configuration_error(tmp_path, discord):
    environment = {"DISCORD_TOKEN": "wrong", "BOT_DISCORD__API_BASE": discord.api_base}
    ended = await asyncio.to_thread(refuse, tmp_path, "check", *PATIENT, **environment)
    assert (ended.returncode, "discord.token: Discord refuses it" in ended.stderr) == (78, True)


@pytest.mark.parametrize("named", ["discord.shard_count", "discord.privileged_intents"])
async def test_a_bot_whose_shards_discord_refuses_for_good_ends_with_one_line(
    tmp_path, dsn, stores, redis_client, named
):
    """As a process of its own, for what it prints and its exit code; that takes two seconds."""
    async with LocalDiscord(shards=2) as discord:
        discord.turn_away("IDENTIFY", 4011 if "shard" in named else 4013)
        ended = await asyncio.to_thread(
            refuse,
            tmp_path,
            "run",
            DISCORD_TOKEN=discord.token,
            BOT_DISCORD__API_BASE=discord.api_base,
            **addresses_of(stores, dsn),
            BOT_LOG__LEVEL="WARNING",
        )
    assert ended.returncode == 78
    assert [line for line in ended.stderr.splitlines() if named in line] == ended.stderr.splitlines()[-1:]
    assert "Traceback" not in ended.stderr


async def test_an_api_base_without_an_api_is_named(tmp_path, discord, dsn, stores):
    nowhere = f"{discord.api_base}/nothing"
    environment = environment_on(stores, dsn, discord) | {"BOT_DISCORD__API_BASE": nowhere}
    ended = await asyncio.to_thread(refuse, tmp_path, "check", *PATIENT, **environment)
    assert ended.returncode == 69
    assert ended.stderr.startswith(f"sandbox-bot: Discord is not reachable: {nowhere}: 404")
    assert len(ended.stderr.strip().splitlines()) == 1


async def test_check_names_what_a_nats_syncs_too_seldom_for_or_has_too_few_servers_for(tmp_path, discord, dsn, stores):
    environment = environment_on(stores, dsn, discord, callout=True) | {"BOT_NATS__STREAM_REPLICAS": "3"}
    checked = await asyncio.to_thread(check, tmp_path, **environment)
    assert (checked.returncode, json.loads(checked.stderr)["error"]["code"]) == (1, "FAILED")
    assert "nats.stream_replicas is 3, and the servers with JetStream are 1" in checked.told("nats.limits", "failure")
    assert "It brings events to its disk only every 120 s" in checked.told("nats.disk", "warning")
    assert 'Set sync_interval: "1s" in its jetstream block.' in checked.told("nats.disk")


@pytest.mark.long
async def test_check_names_what_a_managed_nats_allows_too_little_of(tmp_path, discord, dsn, stores):
    async with managed_nats(tmp_path, streams=2) as (server, account):
        write_credentials(tmp_path / "bot.creds", account)
        environment = environment_on(stores, dsn, discord) | {
            "NATS_URL": url(server),
            "NATS_CREDENTIALS": "bot.creds",
        }
        checked = await asyncio.to_thread(check, tmp_path, **environment)
    assert checked.returncode == 0
    assert "by convention alone" in checked.told("nats.isolation", "warning")
    assert "max_streams of the account has room for 2 more sandboxes" in checked.told("nats.limits", "warning")


async def test_sync_answers(tmp_path, discord, dsn, stores):
    environment = environment_on(stores, dsn, discord)
    synced = await asyncio.to_thread(refuse, tmp_path, "sync", **environment)
    assert (synced.returncode, synced.stdout) == (0, "created /sandbox\ncreated /sandbox-admin\n")
    again = await asyncio.to_thread(refuse, tmp_path, "sync", **environment)
    assert (again.returncode, again.stdout, discord.syncs) == (0, "all commands are registered\n", 0)
    removed = await asyncio.to_thread(refuse, tmp_path, "sync", "--remove", **environment)
    assert removed.stdout.startswith("removed /sandbox\nremoved /sandbox-admin\nBots leave it at that")
    assert (removed.returncode, discord.commands) == (0, [])
    discord.refuse_next("/commands", 403, {"code": 50001, "message": "Missing Access"})
    refused = await asyncio.to_thread(refuse, tmp_path, "sync", BOT_LOG__LEVEL="ERROR", **environment)
    assert refused.returncode == 69
    assert refused.stderr.startswith("sandbox-bot: Discord did not take it: the commands: 403 Forbidden")
    assert len(refused.stderr.splitlines()) == 1


async def test_a_template_is_read_at_the_start_and_tried_by_check(tmp_path, discord, dsn, stores):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "10_first.sql").write_text("CREATE TABLE first (n int);\nCREATE TABLE bad (n nonsense);")
    environment = environment_on(stores, dsn, discord)
    for command, folder, said in (
        (("check", *PATIENT), "own", 'sandboxes.template: 10_first.sql, line 2: type "nonsense" does not exist'),
        (("run",), "nowhere", "sandboxes.template: nowhere: cannot be read"),
    ):
        ended = await asyncio.to_thread(refuse, tmp_path, *command, BOT_SANDBOXES__TEMPLATE=folder, **environment)
        assert ended.returncode == 78
        assert said in ended.stderr.splitlines()[-1]


async def state_of(dsn, redis_client, nats_client, stores):
    """What a bot could have left: in PostgreSQL, Redis and NATS."""
    connection = await asyncpg.connect(dsn)
    queries = (
        "SELECT relname, relkind, relnamespace::text FROM pg_class WHERE relname !~ '^pg_toast' ORDER BY 1, 2, 3",
        "SELECT proname, md5(prosrc) FROM pg_proc WHERE pronamespace > 11 ORDER BY 1, 2",
        "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1",
        "SELECT rolname, rolcanlogin FROM pg_roles ORDER BY 1",
    )
    tables = [[tuple(row) for row in await connection.fetch(query)] for query in queries]
    for name in ("schema_migrations", "sandbox_keys", "sandbox_template", "sandboxes"):
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
            rows = await connection.fetch(f"SELECT * FROM {name} ORDER BY 1")
            tables.append(list(map(tuple, rows)))
    await connection.close()
    config = await redis_client.config_get("*")
    streams = await nats_client.jetstream().streams_info()
    return tables, await redis_client.acl_list(), await redis_client.keys("*"), config, streams


@pytest.mark.parametrize("is_new", [True, False])
async def test_check_leaves_nothing_in_a_new_database_or_an_old_one(
    tmp_path, discord, dsn, stores, redis_client, nats_client, is_new
):
    if is_new:
        dsn = await recreate(stores, dsn)
    await redis_client.config_set("acllog-max-len", 77)
    environment = environment_on(stores, dsn, discord, callout=True)
    before = await state_of(dsn, redis_client, nats_client, stores)
    await redis_client.config_resetstat()
    checked = await asyncio.to_thread(check, tmp_path, **environment)
    assert checked.returncode == 0
    assert checked.told("postgres.template") == "The template of new sandboxes applies."
    assert [checked.levels(f"{store}.isolation")[0] for store in ("postgres", "redis", "nats")] == ["ok"] * 3
    assert ("The database is new" in checked.told("postgres.migrations")) is is_new
    room = "PostgreSQL has 300 connections: room for 25 sandboxes with 10 each."
    assert (room in checked.told("postgres.limits")) is not is_new
    assert await state_of(dsn, redis_client, nats_client, stores) == before
    assert "cmdstat_acl|setuser" in await redis_client.info("commandstats")

    await redis_client.config_resetstat()
    looked = await asyncio.to_thread(check, tmp_path, "--no-trials", **environment)
    assert (looked.returncode, "was not tried" in looked.told("postgres.template")) == (0, True)
    assert await state_of(dsn, redis_client, nats_client, stores) == before
    written = {name for name in await redis_client.info("commandstats") if "set" in name and "reset" not in name}
    assert written - {"cmdstat_client|setinfo"} == set()
    assert (list(tmp_path.iterdir()), discord.commands) == ([], [])


async def test_check_tells_of_databases_for_sandboxes(tmp_path, discord, dsn, stores, redis_client):
    async with redis.asyncio.from_url(stores.redis_url + "/201") as stranger:
        await stranger.set("of-somebody", 1)
    environment = environment_on(stores, dsn, discord)
    for numbers, told in (
        ("200-201", "Of 2 databases for sandboxes 1 are free."),
        ("201-201", "Of 1 databases for sandboxes 0 are free."),
    ):
        checked = await asyncio.to_thread(check, tmp_path, BOT_REDIS__DATABASES=numbers, **environment)
        assert (checked.returncode, told in checked.told("redis.databases")) == (0, True)
        assert "Database 201 is not empty and not ours" in checked.told("redis.databases", "warning")
        assert "One developer may have 5 sandboxes" in checked.told("redis.databases", "warning")


async def recreate(stores, dsn):
    """The database anew, as a DBA hands it over."""
    name = dsn.rpartition("/")[2]
    await drop_database(stores, name)
    await create_database(stores, name, "template1")
    connection = await asyncpg.connect(dsn)
    await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    await connection.close()
    return dsn


async def test_migrate_works_from_two_processes_at_once_and_twice(tmp_path, stores):
    admin = await asyncpg.connect(stores.superuser_url("postgres"))
    await admin.execute("CREATE DATABASE fresh OWNER sandbox_bot")
    url = stores.database_url.rpartition("/")[0] + "/fresh"
    both = await asyncio.gather(*(asyncio.to_thread(refuse, tmp_path, "migrate", DATABASE_URL=url) for _ in range(2)))
    again = await asyncio.to_thread(refuse, tmp_path, "migrate", DATABASE_URL=url)
    await admin.execute("DROP DATABASE fresh")
    await admin.close()
    assert [ended.returncode for ended in (*both, again)] == [0, 0, 0]
    applied = "".join(ended.stdout for ended in both)
    assert applied.count("applied 0001") == 1
    assert again.stdout == "nothing to apply\n"


async def test_a_second_bot_on_the_same_folder_is_refused_by_name(tmp_path, discord, start):
    ada = discord.add_person("ada")
    bot = await start()
    ended = await asyncio.to_thread(refuse, tmp_path, "run", DISCORD_TOKEN="t", BOT_LOG__LEVEL="ERROR")
    assert ended.returncode == 69
    assert str(tmp_path / "data") in ended.stderr
    assert f"process {bot.process.pid}" in ended.stderr
    assert "standby" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "no sandboxes" in str((await ada.command("sandbox list")).message.embeds)  # the first one is unimpressed
