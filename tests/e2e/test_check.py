"""What `sandbox-bot check` finds out, and that nothing which is away keeps it from the rest."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest

from bot.certificates import write_certificates
from bot.cli.check.checks import CHECKS
from bot.cli.check.examination import examine
from bot.cli.check.surroundings import open_surroundings
from bot.clock import elapsed
from bot.control_plane import open_control_plane
from bot.health.server import serve_health
from bot.settings import Health, Isolation, Nats, Postgres, Redis, Settings
from bot.stores.opening import open_stores
from tests.checks import check
from tests.cluster.postgres_servers import PostgresPair
from tests.cluster.valkey_servers import ValkeyGroup
from tests.forks import run_command
from tests.service.conftest import ADA

WITHIN_S = 60.0


@pytest.fixture
def look(settings_of, discord):
    """What some checks find: level and message with its mend of each finding."""

    async def run(*names, sections=None, within_s=WITHIN_S, trials=False, **changes):
        settings = settings_of(discord, **changes).model_copy(update=sections or {})
        checks = [each for each in CHECKS if not names or each.name in names]
        async with open_surroundings(settings, trials=trials) as surroundings:
            found = await examine(surroundings, checks, within_s)
        assert all(finding.mend for finding in found.findings if finding.level != "ok")
        return [(str(each.level), f"{each.message} {each.mend}".strip()) for each in found.findings]

    return run


def troubles(found):
    return [told for level, told in found if level != "ok"]


async def test_a_bot_that_has_all_it_needs_is_told_of_no_failure(look, redis_client, nats_client):
    found = await look(trials=True)
    assert not [told for level, told in found if level == "failure"]
    assert ("ok", "Nothing is left of sandboxes that are gone.") in found
    assert len([told for _, told in found if "agrees with that of" in told]) == 4


async def test_where_no_bot_has_run_all_else_is_looked_at_and_no_folder_is_made(tmp_path, discord):
    environment = {"DISCORD_TOKEN": discord.token, "BOT_DISCORD__API_BASE": discord.api_base}
    report = await asyncio.to_thread(check, tmp_path, PATH=os.environ["PATH"], **environment)
    assert (report.returncode, json.loads(report.stderr)["error"]["code"]) == (78, "CONFIGURATION")
    assert str(tmp_path / "data") in report.told("stores", "failure")
    assert report.levels("discord.application") == ["ok"]
    assert report.skipped["postgres.server"] == report.skipped["leftovers"] == "stores"
    assert list(tmp_path.iterdir()) == []
    assert set(report.data) == {"level", "findings", "skipped"}
    assert all(set(each) == {"check", "level", "code", "message", "mend"} for each in report.data["findings"])


async def test_a_wrong_setting_is_a_finding_too(tmp_path):
    report = await asyncio.to_thread(check, tmp_path, BOT_SANDBOXES__GRADE="1h")
    assert (report.returncode, [each["check"] for each in report.data["findings"]]) == (78, ["settings"])
    assert "sandboxes.grade" in report.told("settings", "failure")


@asynccontextmanager
async def silent_server():
    """The port of one that takes connections and never says anything."""
    over = asyncio.Event()

    async def say_nothing(_, writer):
        await over.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def at_port(port):
    """The environment of a bot all of whose services are there."""
    return {
        "PATH": os.environ["PATH"],
        "DISCORD_TOKEN": "t",
        "BOT_DISCORD__API_BASE": f"http://127.0.0.1:{port}/api",
        "DATABASE_URL": f"postgresql://u:hunter22@127.0.0.1:{port}/x",
        "REDIS_URL": f"redis://127.0.0.1:{port}",
        "NATS_URL": f"nats://127.0.0.1:{port}",
    }


async def test_what_answers_nothing_is_given_up_all_at_the_same_time(tmp_path):
    async with silent_server() as port:
        report = await asyncio.to_thread(check, tmp_path, "--within", "1s", **at_port(port))
    assert (report.returncode, json.loads(report.stderr)["error"]["code"]) == (69, "UNAVAILABLE")
    for service, name in (("PostgreSQL", "postgres.server"), ("Redis", "redis.server"), ("NATS", "nats.server")):
        assert report.told(name, "failure").startswith(f"{service} is not reachable: it does not answer within 1 s")
    assert "Discord is not reachable" in report.told("discord.application", "failure")
    assert report.skipped["postgres.template"] == "postgres.server"
    assert report.skipped["discord.commands"] == "discord.application"


@pytest.mark.long
async def test_with_everything_frozen_it_ends_within_ten_seconds_or_so(tmp_path):
    async with silent_server() as port:
        await asyncio.to_thread(run_command, ["--version"], cwd=tmp_path, env=at_port(port))  # reads the modules
        started = elapsed()
        assert (await asyncio.to_thread(check, tmp_path, "--within", "8s", **at_port(port))).returncode == 69
        assert elapsed() - started < 12


@pytest.fixture
async def taken_port():
    """One at which somebody else listens, who hangs up."""

    async def hang_up(_, writer):
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_store_that_is_away_keeps_the_others_from_nothing(look):
    away = Postgres(dsn="postgresql://u:hunter22@127.0.0.1:9/x")
    found = await look(
        "postgres.server", "redis.server", "nats.server", "discord.commands", sections={"postgres": away}
    )
    (told,) = troubles(found)
    assert told.startswith("PostgreSQL is not reachable: ConnectionRefusedError")
    assert "hunter22" not in told
    assert len(found) == 4


async def test_a_store_that_freezes_later_is_named_by_each_check_that_it_lets_down(look, wires):
    async def freeze():
        while not wires.lines["redis"].connections:
            await asyncio.sleep(0.01)
        wires.lines["redis"].freeze()

    freezing = asyncio.create_task(freeze())
    found = await look("redis.server", "redis.memory", "postgres.server", sections=wires.sections, within_s=3)
    await freezing
    assert (found[1][0], found[0][0]) == ("failure", "ok")
    assert any(told.startswith(("There is no answer within 3 s", "Redis is not reachable")) for told in troubles(found))


async def test_each_of_several_hosts_is_named(look, stores, dsn):
    parts = dsn.partition("@")
    host = parts[2].partition("/")[0]
    two_hosts = dsn.replace(host, f"{host},127.0.0.1:9")
    postgres = await look("postgres.hosts", sections={"postgres": Postgres(dsn=two_hosts)})
    assert any(level == "ok" and told.startswith(f"{host} takes the writes, PostgreSQL 18") for level, told in postgres)
    assert any(told.startswith("127.0.0.1:9 does not answer: ConnectionRefused") for told in troubles(postgres))
    assert any("synchronous_standby_names" in told for told in troubles(postgres))
    nats = await look("nats.hosts", sections={"nats": Nats(url=f"{stores.nats_url},nats://127.0.0.1:9")})
    assert [level for level, _ in nats] == ["ok", "warning"]
    assert nats[1][1].startswith("nats://127.0.0.1:9 does not answer")
    cluster = {"nats": Nats(url=f"{stores.nats_url},nats://127.0.0.1:9")}
    (late,) = troubles(await look("nats.limits", sections=cluster, routing={"ack_timeout": timedelta(seconds=3)}))
    assert late.startswith("routing.ack_timeout is 3s")


@pytest.mark.long
async def test_each_sentinel_each_replica_and_each_standby_is_named(look, tmp_path):
    async with ValkeyGroup(tmp_path / "valkey", sentinels=2) as group, PostgresPair(tmp_path / "postgres") as pair:
        sections = {"redis": Redis(url=group.sentinel_url()), "postgres": Postgres(dsn=pair.url())}
        found = [
            told for level, told in await look("redis.hosts", "postgres.hosts", sections=sections) if level == "ok"
        ]
        kinds = ("as the master", "is a replica, Valkey 9", "takes the writes", "is a standby, PostgreSQL 18")
        assert [sum(kind in told for told in found) for kind in kinds] == [2, 1, 1, 1]
        await group.servers["sentinel-2"].kill()
        (away,) = troubles(await look("redis.hosts", sections=sections))
        assert away.startswith("The Sentinel 127.0.0.1:")


async def test_intents_and_servers_that_discord_does_not_let_the_bot_have_are_named(look, discord):
    names = ("discord.intents", "discord.verification")
    discord.settings.approved_intents = 0
    (told,) = troubles(await look(*names))
    assert "Discord has not approved members, message_content" in told
    for number in range(75):
        discord.add_guild(f"guild {number}", owner=discord.owner)
    (_, told) = troubles(await look(*names))
    assert told.startswith("It is in 75 servers and not verified: from 100 on nobody can add it")
    for number in range(75, 100):
        discord.add_guild(f"guild {number}", owner=discord.owner)
    assert (await look("discord.verification"))[0][0] == "failure"
    discord.bot_user.public_flags = 1 << 16
    discord.settings.approved_intents = 1 << 1 | 1 << 15
    assert troubles(await look(*names)) == [
        "members, message_content: approved for fewer than 100 servers alone. Apply for them in the developer portal."
    ]


async def test_sessions_that_discord_lets_the_bot_begin_no_more_are_named(look, discord):
    assert troubles(await look("discord.sessions")) == []
    discord.settings.session_starts.exhaust(3600)
    (told,) = troubles(await look("discord.sessions"))
    assert told.startswith("Discord lets the bot begin 0 sessions until ")


async def test_foreign_commands_are_told_of_and_stay(look, discord):
    found = await look("discord.commands")
    assert found[0][1].startswith("Still to be registered")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {discord.token}"}) as session:
        url = f"{discord.api_base}/applications/{discord.application_id}/commands"
        await session.post(url, json={"name": "play", "description": "Plays", "type": 1})
    before = discord.commands
    assert ("ok", "Not the bot's, and left as they are: /play.") in await look("discord.commands")
    assert discord.commands == before


@pytest.fixture
async def bound(settings_of, discord, redis_client, nats_client):
    """A server that a sandbox has bound, without a bot that runs."""
    guild, settings = discord.add_guild("Ada's Lab", owner=discord.add_person("ada")), settings_of(discord)
    async with open_stores(settings) as stores, open_control_plane(settings, stores) as manager:
        await manager.create(ADA, name="blue", guild_ids=[guild.id])
    return guild


async def test_what_the_bot_lacks_in_a_bound_server_is_named_with_the_server(look, discord, bound):
    relay = {"relay": {"listen": "127.0.0.1:0"}}
    assert troubles(await look("discord.servers", **relay)) == []
    bound.roles[bound.id].permissions &= ~(1 << 11)
    bound.add_channel("secret").deny(discord.bot_user, ["view_channel"])
    discord.refuse_next(f"/guilds/{bound.id}/commands", 403, {"code": 50001, "message": "Missing Access"})
    lacks, hidden, scope = troubles(await look("discord.servers", **relay))
    assert lacks.startswith(f"Ada's Lab ({bound.id}): the bot lacks Send Messages.")
    assert hidden.startswith(f"Ada's Lab ({bound.id}): the bot does not see #secret")
    assert "applications.commands" in scope
    bound.kick_bot()
    (absent,) = troubles(await look("discord.servers"))
    assert absent.startswith(f"The bot is not in server {bound.id}")


async def test_the_channel_for_notices_is_one_that_takes_them(look, discord, bound):
    chosen = {"notice_channel": bound.general.id}
    assert troubles(await look("discord.notices", **chosen)) == []
    bound.general.deny(discord.bot_user, ["send_messages"])
    assert "may not write" in troubles(await look("discord.notices", **chosen))[0]
    assert "does not see" in troubles(await look("discord.notices", notice_channel=10**17))[0]


async def test_leftovers_are_named_and_stay(look, redis_client, pool, bound, monkeypatch):
    await redis_client.set("sandbox:00000000-0000-4000-8000-000000000001:left", 1)
    await pool.execute("UPDATE sandboxes SET status = 'destroying', status_changed_at = now() - interval '1 day'")
    found = await look("leftovers")
    assert any(told.startswith("1 sandbox is half made or half destroyed") for told in troubles(found))
    assert any(told.startswith("Perhaps another installation's") and "1 keys" in told for _, told in found)
    assert await redis_client.exists("sandbox:00000000-0000-4000-8000-000000000001:left")
    monkeypatch.setattr("bot.constants.CHECK_LEFTOVERS_WITHIN_S", 0.0)
    assert any(told.startswith("What is left was not looked through") for _, told in await look("leftovers"))


async def test_what_does_not_keep_sandboxes_apart_is_a_failure_where_that_is_required(look, stores):
    weak = {"nats": Nats(url=stores.nats_url)}
    assert [level for level, _ in await look("nats.isolation", sections=weak)] == ["warning"]
    required = weak | {"isolation": Isolation(require=True)}
    assert [level for level, _ in await look("nats.isolation", sections=required)] == ["failure"]


async def test_a_server_whose_memory_has_no_end_or_that_drops_keys_is_warned_of(look, redis_client):
    before = await redis_client.config_get("maxmemory*")
    try:
        await redis_client.config_set("maxmemory", 0)
        await redis_client.config_set("maxmemory-policy", "allkeys-lru")
        unlimited, drops = troubles(await look("redis.memory"))
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            await redis_client.config_set(name, before[name])
    assert unlimited.startswith("maxmemory is not set")
    assert drops.startswith("With maxmemory-policy allkeys-lru it drops keys")


async def seen_bot(pool, application_id, shard_count, shard_ids):
    """As a bot writes itself down that runs elsewhere."""
    await pool.execute(
        "INSERT INTO gateway_processes (id, application_id, shard_count, shard_ids, name) "
        "VALUES (gen_random_uuid(), $1, $2, $3, 'elsewhere')",
        *(application_id, shard_count, shard_ids),
    )


async def test_shards_that_nobody_runs_and_bots_of_another_application_are_named(look, discord, pool):
    assert troubles(await look("bots.shards")) == []
    await seen_bot(pool, 0, 1, [0])  # of the upkeep
    await seen_bot(pool, discord.application_id, 2, [1])
    await seen_bot(pool, discord.application_id + 1, 1, [0])
    other, nobody = troubles(await look("bots.shards"))
    assert other.startswith(f"A bot of another application, {discord.application_id + 1}, runs on these stores")
    assert nobody.startswith("Nobody runs shards 0, 1")


async def test_commands_that_were_registered_and_are_not_there_any_more_are_named(look, discord, pool):
    await pool.execute(
        "INSERT INTO registered_commands (application_id, command_id, name) VALUES ($1, 1, 'sandbox')",
        discord.application_id,
    )
    (told,) = troubles(await look("discord.commands"))
    assert told.startswith("Not registered any more: /sandbox, /sandbox-admin.")


async def test_a_role_that_may_make_nothing_and_a_database_of_before_are_named(look, pool, dsn):
    address, role = urlsplit(dsn), f"weak_{uuid.uuid4().hex[:8]}"
    await pool.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'weak'")
    await pool.execute(f'GRANT CONNECT ON DATABASE "{address.path[1:]}" TO {role}')
    await pool.execute("DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations)")
    weak = Postgres(dsn=address._replace(netloc=f"{role}:weak@{address.hostname}:{address.port}").geturl())
    try:
        (told,) = troubles(await look("postgres.server", sections={"postgres": weak}))
        assert told.startswith(f"The role {role} may make no schemas")
        (told,) = troubles(await look("postgres.migrations"))
        assert told.startswith("1 migration is missing.")
    finally:
        await pool.execute(f'REVOKE ALL ON DATABASE "{address.path[1:]}" FROM {role}')
        await pool.execute(f"DROP ROLE {role}")


async def test_settings_that_do_not_fit_each_other_are_named(look):
    hours = {"sandboxes": {"warn_before": timedelta(hours=30), "grace": timedelta(hours=2)}}
    warned, gone = troubles(await look("settings", **hours, sections={"nats": Nats(stream_max_age=timedelta(hours=1))}))
    assert warned.startswith("sandboxes.warn_before is 1d6h, and sandboxes live for 1d")
    assert gone.startswith("nats.stream_max_age is below sandboxes.grace")


async def test_a_port_for_health_that_keeps_the_bot_from_its_start_is_a_failure_unless_a_bot_has_it(look, taken_port):
    (off,) = await look("health")
    assert off[0] == "ok"
    assert (await look("health", health={"listen": "127.0.0.1:0"}))[0][0] == "ok"
    in_the_clear, shared = {"listen": "0.0.0.0:0"}, {"listen": "127.0.0.1:9"}
    for chosen, relay, said in (
        ({"listen": f"127.0.0.1:{taken_port}"}, {}, "cannot be listened on: Address already in use"),
        (in_the_clear, {}, "would pass in the clear"),
        (shared, shared, "has the relay's port"),
    ):
        ((level, told),) = await look("health", health=chosen, relay=relay)
        assert (level, said in told) == ("failure", True)
    async with serve_health(Settings(health=Health(listen="127.0.0.1:0"))) as server:
        chosen = {"listen": server.address.removeprefix("http://")}
        assert await look("health", health=chosen) == [("ok", f"It is told at {server.address}.")]


async def test_a_certificate_of_that_port_that_ends_is_warned_of(look, tmp_path, monkeypatch):
    write_certificates(tmp_path, ["localhost"])
    chosen = {"listen": "127.0.0.1:0", "certificate": tmp_path / "relay.pem", "key": tmp_path / "relay.key"}
    assert troubles(await look("health", health=chosen)) == []
    monkeypatch.setattr("bot.cli.check.of_workers.RENEWED_BEFORE", timedelta(days=10_000))
    (told,) = troubles(await look("health", health=chosen))
    assert told.startswith("health.certificate: ")
