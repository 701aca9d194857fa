"""`sandbox-bot` as a script calls it: a process, its output and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import asyncpg
import pytest

from bot.keys import KeyRing
from tests.checks import check
from tests.e2e.bot_process import BOT, Bots, addresses_of
from tests.forks import run_command

ADA = "100000000000000001"
GUILD = "200000000000000001"


@pytest.fixture
def environment(stores, dsn, nats_client, redis_client):
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    return own | addresses_of(stores, dsn, callout=True)


@pytest.fixture
def cli(environment, tmp_path):
    async def run(*arguments, **changes):
        return await asyncio.to_thread(run_command, ["sandbox", *arguments], cwd=tmp_path, env=environment | changes)

    return run


@pytest.fixture
def data(cli):
    """What a command prints as JSON, alone on standard output."""

    async def run(*arguments):
        ended = await cli(*arguments, "--json")
        assert (ended.returncode, ended.stderr) == (0, "")
        return json.loads(ended.stdout)

    return run


async def test_a_sandbox_is_created_found_changed_and_destroyed(data, cli):
    made = await data("create", "blue", "--owner", ADA, "--ttl", "2h", "--guild", GUILD)
    assert (made["name"], made["owner_id"], made["status"], made["guild_ids"]) == ("blue", ADA, "running", [GUILD])
    assert (made["event_count"], made["last_activity_at"]) == (0, None)
    listed, by_name, by_id = await asyncio.gather(
        data("list", "--owner", ADA), data("status", "blue"), data("status", made["id"])
    )
    assert [item["id"] for item in listed] == [made["id"]]
    assert by_name["ok"]
    assert {store["isolation"] for store in by_id["stores"].values()} == {"enforced"}

    extended = await data("extend", made["short_id"], "3h")
    assert extended["expires_at"] > made["expires_at"]
    assert (await data("unbind-guild", GUILD))["guild_ids"] == []
    assert (await data("bind-guild", "blue", GUILD))["guild_ids"] == [GUILD]

    planned = await data("destroy", "blue", "--dry-run")
    assert (planned[0]["name"], planned[0]["status"]) == ("blue", "running")
    asked = await cli("destroy", "blue")
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    (destroyed,) = await data("destroy", "blue", "--yes")
    assert destroyed["status"] == "destroyed"
    assert await data("list") == []
    everything, audited = await asyncio.gather(data("list", "--all"), data("audit", made["id"]))
    assert [item["status"] for item in everything] == ["destroyed"]
    assert audited[0]["event"] == "sandbox_destroyed"
    assert {entry["actor_id"] for entry in audited if entry["event"] == "ttl_extended"} == {"0"}


@pytest.mark.long
async def test_tags_are_given_shown_and_what_a_list_is_narrowed_by(data, cli):
    made = await data("create", "blue", "--owner", ADA, "--tag", "team=red", "--tag", "ticket = 7")
    assert made["metadata"] == {
        "tags": {"team": "red", "ticket": "7"},
        "created_from": "cli",
        "template": "default",
    }
    await data("create", "green", "--owner", ADA, "--tag", "team=red")
    both, one, none = await asyncio.gather(
        data("list", "--tag", "team=red"),
        data("list", "--tag", "team=red", "--tag", "ticket=7"),
        data("list", "--tag", "team=blue"),
    )
    assert [[item["name"] for item in found] for found in (both, one, none)] == [["green", "blue"], ["blue"], []]
    assert (await data("status", "blue"))["metadata"] == one[0]["metadata"] == made["metadata"]
    assert "team=red, ticket=7" in (await cli("status", "blue")).stdout
    assert "No secrets" in (await cli("create", "--help", COLUMNS="200")).stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["status", "nobody"], 1, "SANDBOX_004"),
        (["create", "b", "--owner", ADA], 1, "SANDBOX_008"),
        (["create", "blue", "--owner", "ada"], 1, "SANDBOX_008"),
        (["create", "blue", "--owner", ADA, "--ttl", "-5h"], 1, "SANDBOX_008"),
        (["create", "blue", "--owner", ADA, "--tag", "team"], 1, "SANDBOX_008"),
        (["list", "--tag", "a=1", "--tag", "a=2"], 1, "SANDBOX_008"),
        (["destroy", "--yes"], 2, "USAGE"),
    ],
)
async def test_what_is_refused_is_one_json_object_on_standard_error(cli, arguments, exit_code, code):
    ended = await cli(*arguments, "--json")
    assert (ended.returncode, ended.stdout) == (exit_code, "")
    error = json.loads(ended.stderr)["error"]
    assert error["code"] == code
    assert error["message"].strip()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["list", "--colour"], "--colour"),
        (["list", "--limit", "many"], "--limit"),
        (["list", "--status", "asleep"], "--status"),
        (["status"], "SANDBOX"),
        (["extend", "blue"], "by"),
        (["status", "blue", "red"], "red"),
        (["create", "blue"], "--owner"),
        (["wake", "blue"], "wake"),
        ([], "--json"),
        (["env", "blue"], "--json"),
        (["env", "blue", "--format", "json", "--rotate", "--without-credentials"], "--rotate"),
    ],
)
async def test_wrong_usage_is_one_json_object_too(cli, arguments, named):
    ended = await cli(*arguments, *([] if "--format" in arguments else ["--json"]))
    assert (ended.returncode, ended.stdout) == (2, "")
    error = json.loads(ended.stderr)["error"]
    assert error["code"] == "USAGE"
    assert named in error["message"]


async def test_help_and_what_only_looks_like_json_are_for_people(cli):
    helped, behind = await asyncio.gather(cli("list", "--json", "--help"), cli("status", "--", "--json", "x"))
    assert (helped.returncode, "Usage" in helped.stdout) == (0, True)
    assert (behind.returncode, "Usage" in behind.stderr) == (2, True)


@pytest.mark.long
async def test_an_extension_says_whether_it_was_capped(data, cli):
    made = await data("create", "blue", "--owner", ADA, "--ttl", "2h")
    extended = await data("extend", "blue", "1h")
    assert extended["capped"] is False
    assert extended["expires_at"] > made["expires_at"]
    assert (await data("extend", "blue", "400d"))["capped"] is True
    await data("create", "red", "--owner", ADA)
    assert "Capped" not in (await cli("extend", "red", "1h")).stdout
    assert "Capped" in (await cli("extend", "red", "400d")).stdout


async def test_the_audit_log_names_the_operator(data, cli):
    account = pwd.getpwuid(os.getuid()).pw_name
    await data("create", "blue", "--owner", ADA, "--guild", GUILD)
    await data("extend", "blue", "1h")
    told = {(entry["actor_id"], entry["operator"]) for entry in await data("audit", "blue")}
    assert told == {("0", account), (None, None)}
    shown = await cli("audit", "blue")
    assert f"operator {account}" in shown.stdout
    assert f'"operator": "{account}"' not in shown.stdout
    ended = json.loads((await cli("destroy", "blue", "--yes", "--json", SUDO_USER="ada")).stdout)
    entries = await data("audit", ended[0]["id"])
    assert entries[0]["operator"] == ("ada" if os.getuid() == 0 else account)
    exported = await cli("export-audit", "--since", "1h")
    assert [json.loads(line) for line in exported.stdout.splitlines()] == entries[::-1]


async def test_what_could_not_be_destroyed_is_one_json_object_for_all(data, cli, nats_client):
    jetstream = nats_client.jetstream()
    for name in ("blue", "red"):
        made = await data("create", name, "--owner", ADA)
        await jetstream.delete_stream(made["nats_stream"])
        await jetstream.add_stream(name=made["nats_stream"], subjects=[f"{name}.>"])  # not ours to delete
    ended = await cli("destroy", "--all", "--yes", "--json")
    assert (ended.returncode, json.loads(ended.stdout)) == (1, [])
    error = json.loads(ended.stderr)["error"]
    assert error["code"] == "SANDBOX_006"
    assert "“blue”" in error["message"]
    assert "“red”" in error["message"]


@pytest.mark.long
async def test_json_is_readable_where_the_terminal_knows_no_unicode(data, environment, tmp_path):
    """A process of its own, which takes a second: one that is forked has its streams already."""
    await data("create", "blue", "--owner", ADA, "--description", "grün 🟢")
    process = await asyncio.create_subprocess_exec(
        *(*BOT, "sandbox", "list", "--json"),
        cwd=tmp_path,
        env=environment | {"PYTHONIOENCODING": "ascii"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert json.loads(out.decode("ascii"))[0]["description"] == "grün 🟢"
    assert process.returncode == 0


@pytest.mark.parametrize("command", [["migrate"], ["rotate-keys"], ["sync"], ["sandbox", "sweep"]])
async def test_every_command_says_in_one_line_that_a_store_is_away(environment, tmp_path, command):
    away = environment | {
        "DATABASE_URL": "postgresql://u:hunter22@127.0.0.1:9/x",
        "DISCORD_TOKEN": "t",
        "BOT_LOG__LEVEL": "ERROR",
    }
    ended = await asyncio.to_thread(run_command, command, cwd=tmp_path, env=away)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (69, "", 1)
    assert ended.stderr.startswith("sandbox-bot: PostgreSQL is not reachable: ")
    assert "hunter22" not in ended.stderr


async def test_a_full_disk_is_told_as_such_and_as_no_fault_of_the_bots(cli, data, pool):
    await data("create", "blue", "--owner", ADA)
    await pool.execute("""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'No space left on device' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER fail BEFORE UPDATE ON sandboxes FOR EACH ROW EXECUTE FUNCTION fail();
        """)
    ended = await cli("extend", "blue", "1h")
    assert (ended.returncode, ended.stdout) == (69, "")
    assert ended.stderr.startswith("sandbox-bot: PostgreSQL has no room on its disk left: DiskFullError: No space left")


async def test_a_picture_that_cannot_be_written_is_wrong_usage_before_the_tour_begins(environment, tmp_path):
    for path in (tmp_path, tmp_path / "nowhere" / "tour.svg"):
        ended = await asyncio.to_thread(run_command, ["demo", "--svg", str(path)], cwd=tmp_path, env=environment)
        assert (ended.returncode, ended.stdout) == (2, "")


async def test_without_json_an_error_is_one_line(cli):
    ended = await cli("status", "nobody")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "SANDBOX_004" in ended.stderr
    away = await cli("list", "--json", REDIS_URL="redis://127.0.0.1:9")
    assert (away.returncode, json.loads(away.stderr)["error"]["code"]) == (69, "SANDBOX_010")
    wrong = await cli("list", "--json", BOT_LOG__LEVEL="loud")
    assert (wrong.returncode, json.loads(wrong.stderr)["error"]["code"]) == (78, "CONFIGURATION")


@pytest.mark.long
async def test_all_sandboxes_of_an_owner_are_destroyed_at_once(data):
    await asyncio.gather(*(data("create", f"blue-{number}", "--owner", ADA) for number in range(2)))
    await data("create", "red", "--owner", "100000000000000002")
    destroyed = await data("destroy", "--all", "--owner", ADA, "--yes")
    assert {item["name"] for item in destroyed} == {"blue-0", "blue-1"}
    assert [item["name"] for item in await data("list")] == ["red"]


async def test_the_environment_logs_in_and_executes_nothing_in_a_shell(cli, data, environment, tmp_path):
    hostile = "x'; touch PWNED; '$(touch PWNED)`touch PWNED`\n touch PWNED"
    await data("create", "blue", "--owner", ADA, "--description", hostile, "--guild", GUILD)
    script = (
        f'eval "$({" ".join(BOT)} sandbox env blue)" && printf "%s\\n" "$SANDBOX_DATABASE_URL" "$SANDBOX_GUILD_IDS"'
    )
    shell = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    url, guilds = shell.stdout.splitlines()
    assert guilds == GUILD
    assert not (tmp_path / "PWNED").exists()
    worker = await asyncpg.connect(url)
    assert await worker.fetchval("SELECT count(*) FROM communities") == 0
    await worker.close()


async def test_an_address_of_the_bots_that_has_no_place_in_a_dotenv_is_refused_with_the_way_out(cli, environment):
    crowded = f"{environment['REDIS_URL']}?protocol=2&socket_timeout=5"
    refused = await cli("list", REDIS_URL=crowded)
    assert refused.returncode == 78
    assert "workers.redis: missing; the bot's own address of the store cannot be handed out" in refused.stderr
    told = await cli("list", REDIS_URL=crowded, BOT_WORKERS__REDIS="redis://cache.example.com")
    assert (told.returncode, told.stderr) == (0, "")


async def test_credentials_are_printed_once_and_rotated_only_when_told(cli, data):
    await data("create", "blue", "--owner", ADA)
    first = json.loads((await cli("env", "blue", "--format", "json")).stdout)
    for form in ("dotenv", "export", "json"):
        again = await cli("env", "blue", "--format", form)
        assert (again.returncode, again.stdout, "env blue --rotate" in again.stderr) == (3, "", True)
    assert json.loads(again.stderr)["error"]["code"] == "CREDENTIALS_SHOWN"
    bare = await cli("env", "blue", "--without-credentials")
    assert (bare.returncode, bare.stderr, "_URL" in bare.stdout) == (0, "", False)
    assert f"SANDBOX_ID={first['SANDBOX_ID']}" in bare.stdout
    assert (await cli("env", "blue", "--rotate")).returncode == 2
    rotated = await cli("env", "blue", "--rotate", "--yes")
    assert "export SANDBOX_DATABASE_URL=" in rotated.stdout
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(first["SANDBOX_DATABASE_URL"])


async def test_the_standard_names_are_added_on_request_in_the_form_that_a_library_wants(cli, data):
    await data("create", "blue", "--owner", ADA)
    told = json.loads((await cli("env", "blue", "--format", "json", "--database-url", "postgresql+asyncpg")).stdout)
    assert told["DATABASE_URL"] == told["SANDBOX_DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:")
    assert (told["REDIS_URL"], told["NATS_URL"]) == (told["SANDBOX_REDIS_URL"], told["SANDBOX_NATS_URL"])
    plain = await cli("env", "blue", "--rotate", "--yes", "--names", "standard", "--format", "dotenv")
    assert f"\nPGOPTIONS=-csearch_path={told['SANDBOX_SCHEMA']}\n" in plain.stdout
    assert "\nDATABASE_URL=postgresql://" in plain.stdout


async def test_every_key_and_variable_that_is_printed_stands_on_the_page_of_what_is_public(cli, data, redis_client):
    made = await data("create", "blue", "--owner", ADA)
    environment = json.loads((await cli("env", "blue", "--format", "json", "--names", "standard")).stdout)
    status, audited = await data("status", "blue"), await data("audit", "blue")
    await redis_client.set("sandbox:00000000-0000-4000-8000-000000000000:left", 1)
    (orphan,) = await data("orphans")
    printed = {*made, *environment, *status, *status["stores"], *audited[0], *orphan, *await data("sweep")}
    page = (Path(__file__).parents[2] / "docs" / "stability.md").read_text()
    assert [name for name in sorted(printed) if f"`{name}`" not in page] == []


async def test_a_sandbox_is_reset_after_asking(cli, data, pool):
    made = await data("create", "blue", "--owner", ADA, "--guild", GUILD)
    await pool.execute(f"INSERT INTO {made['schema']}.communities (guild_id, name) VALUES (1, 'a')")
    await pool.execute(f"ANALYZE {made['schema']}.communities")
    assert (await cli("reset", "blue")).returncode == 2
    assert (await data("status", "blue"))["stores"]["postgres"]["rows"] == 1
    reset = await data("reset", "blue", "--yes")
    assert [reset[key] for key in ("id", "guild_ids", "expires_at")] == [
        made[key] for key in ("id", "guild_ids", "expires_at")
    ]
    assert (await data("status", "blue"))["stores"]["postgres"]["rows"] == 0
    assert (await data("audit", "blue"))[0]["event"] == "sandbox_reset"


@pytest.mark.long
async def test_a_sweep_does_what_is_due_and_says_so_before(data, cli, pool):
    made = await data("create", "blue", "--owner", ADA)
    await pool.execute("UPDATE sandboxes SET created_at = now() - interval '2h', expires_at = now() - interval '1m'")
    assert await data("sweep", "--dry-run") == {"warned": 0, "expired": 1, "destroyed": 0, "recovered": 0}
    assert (await data("sweep"))["expired"] == 1
    status = await cli("status", made["id"], "--json")
    assert (status.returncode, json.loads(status.stdout)["status"]) == (1, "expired")


async def test_keys_are_rotated_whatever_they_are_for(environment, tmp_path, pool):
    def rotate():
        return asyncio.to_thread(run_command, ["rotate-keys"], cwd=tmp_path, env=environment)

    assert (await rotate()).stdout == "there are no keys yet\n"
    keys = KeyRing(pool)
    before = {purpose: await keys.current(purpose) for purpose in ("buttons", "hint channel")}
    assert (await rotate()).stdout == "rotated buttons\nrotated hint channel\n"
    for purpose, key in before.items():
        assert key in (await keys.valid(purpose))[1:]


@pytest.mark.long
async def test_it_works_beside_a_running_bot_on_its_embedded_stores(discord, tmp_path):
    async with Bots(discord, tmp_path) as bots:
        bot, environment = await bots.start_connected(), bots.environment
        arguments = [*BOT, "sandbox", "create", "blue", "--owner", ADA, "--json"]
        made = await asyncio.to_thread(
            subprocess.run, arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (made.returncode, made.stderr) == (0, "")
        assert json.loads(made.stdout)["status"] == "running"
        checked = await asyncio.to_thread(check, tmp_path, **environment)
        assert checked.returncode == 0
        assert f"A bot runs on {tmp_path / 'data'}; a second one would be refused there." in checked.told("stores")
        assert "Sandboxes may make more schemas and temporary tables." in checked.told("postgres.isolation")
        assert bot.process.returncode is None
        assert (await bot.stop())[0] == 0


async def test_orphans_are_shown_and_dropped_only_when_told(data, cli, pool, redis_client):
    made = await data("create", "blue", "--owner", ADA)
    await data("destroy", "blue", "--yes")
    await pool.execute(
        "UPDATE sandboxes SET created_at = created_at - interval '2h', destroyed_at = now() - interval '2h'"
    )
    await redis_client.set(made["redis_prefix"] + "left", 1)
    shown = [
        {
            "kind": "keys",
            "name": made["redis_prefix"],
            "proof": "destroyed",
            "sandbox_id": made["id"],
            "size": 1,
        }
    ]
    assert await data("orphans") == shown
    refused = await cli("orphans", "--drop", "--yes", "--json")
    assert (refused.returncode, json.loads(refused.stderr)["error"]["code"]) == (1, "SANDBOX_006")
    assert (await cli("orphans", "--drop", "--json")).returncode == 2
    assert "destroyed" in (await cli("orphans")).stdout
    assert await data("orphans", "--drop", "--yes", "--force") == shown
    assert await data("orphans") == []


@pytest.mark.parametrize("command", [["sandbox-bot"], [sys.executable, "-m", "bot"]])
def test_the_version_is_told_with_those_that_a_report_of_a_bug_needs(command, tmp_path):
    ended = in_shell(tmp_path, *command, "--version")
    python = ".".join(map(str, sys.version_info[:3]))
    expected = f"sandbox-bot {version('discord-sandboxes')} (Python {python}, discord.py {version('discord.py')})\n"
    assert (ended.stdout, ended.returncode) == (expected, 0)


@pytest.mark.long
def test_bash_completes_commands_by_the_script_that_is_shown(tmp_path):
    completed = in_shell(
        tmp_path,
        "bash",
        "-c",
        "source <(sandbox-bot --show-completion bash); COMP_WORDS=(sandbox-bot sandbox bind) COMP_CWORD=2;"
        '_sandbox_bot_completion sandbox-bot; echo "${COMPREPLY[@]}"',
    )
    assert (completed.stdout, completed.stderr) == ("bind-guild\n", "")


def in_shell(folder, *command):
    """With the command line's own folder on PATH, as an activated virtual environment has it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
