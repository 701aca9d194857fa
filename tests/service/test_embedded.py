import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError

from bot.errors import ServiceUnavailable
from bot.stores.embedded import EmbeddedError, EmbeddedStores, FolderInUse
from bot.stores.embedded import stores as embedded_stores
from bot.stores.embedded.folder import choose_ports
from bot.stores.nats_client import open_nats
from tests.service.servers import lives, parent_of, read_everywhere, until, write_everywhere

OWNER = """
import asyncio, sys
from pathlib import Path
from bot.stores.embedded import EmbeddedStores

async def main():
    async with EmbeddedStores(Path(sys.argv[1]), durable=False) as stores:
        print(*stores.pids.values(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def start_owner(folder):
    """Another process that keeps the stores, with the pids of its servers."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert owner.stdout is not None
    pids = [int(pid) for pid in (await asyncio.wait_for(owner.stdout.readline(), 30)).split()]
    assert len(pids) == 3
    return owner, pids


async def kill(process):
    process.kill()
    await process.communicate()


@pytest.mark.parametrize("store", ["postgres", "redis", "nats"])
async def test_a_port_that_another_program_takes_before_its_server_does_is_chosen_anew(
    stores, tmp_path, monkeypatch, store
):
    taken = urlsplit(stores.url(store)).port
    choices = []

    def choose(folder, wanted):
        choices.append(choose_ports(folder, wanted))
        return choices[-1] | ({store: taken} if len(choices) == 1 else {})

    monkeypatch.setattr(embedded_stores, "choose_ports", choose)
    async with EmbeddedStores(tmp_path, durable=False, stores=frozenset({store})) as own:
        assert urlsplit(own.url(store)).port == choices[1][store] != taken
    async with EmbeddedStores(tmp_path, durable=False, stores=frozenset({store})) as own:
        assert urlsplit(own.url(store)).port == choices[1][store]


def test_no_two_servers_are_given_the_same_port(tmp_path):
    port = choose_ports(tmp_path, ["redis"])["redis"]
    (tmp_path / "ports.json").write_text(json.dumps({"postgres": port, "redis": port, "nats": port}))
    chosen = choose_ports(tmp_path, ["postgres", "redis", "nats"])
    assert (port in chosen.values(), len(set(chosen.values()))) == (True, 3)


async def test_all_three_answer_to_their_passwords_alone(stores):
    connection = await asyncpg.connect(stores.database_url)
    assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()
    client = await nats.connect(stores.nats_url)
    await client.jetstream().account_info()
    await client.close()
    cache = redis.asyncio.from_url(stores.redis_url)
    assert await cache.ping()
    await cache.aclose()

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stores.database_url.replace("sandbox_bot:", "sandbox_bot:x"))
    with pytest.raises(ServiceUnavailable) as caught:
        await open_nats(stores.nats_url.replace("sandbox-bot:", "sandbox-bot:x"))
    assert (caught.value.service, "Authorization" in caught.value.detail) == ("NATS", True)
    stranger = redis.asyncio.from_url("redis://" + stores.redis_url.rpartition("@")[2])
    with pytest.raises(AuthenticationError):
        await stranger.ping()
    await stranger.aclose()


async def test_a_stranger_may_not_even_connect_to_a_database(stores):
    connection = await asyncpg.connect(stores.superuser_url())
    await connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'pw'")
    port = stores.database_url.rpartition(":")[2].partition("/")[0]
    for database in ("sandboxes", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(f"postgresql://stranger:pw@127.0.0.1:{port}/{database}")
    await connection.execute("DROP ROLE stranger")
    await connection.close()


async def test_no_password_stands_on_a_command_line_or_in_a_readable_file(tmp_path):
    async with EmbeddedStores(tmp_path / "data", durable=False):
        passwords = json.loads((tmp_path / "data" / "secrets.json").read_text()).values()
        lines = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK))
        assert not any(password.encode() in lines for password in passwords)
        for path in (tmp_path / "data").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name == "ports.json", path


async def test_data_addresses_and_passwords_survive_a_restart_in_a_long_path_with_spaces(tmp_path):
    folder = tmp_path / ("a long path with 'quotes' " * 6).strip()
    async with EmbeddedStores(folder) as stores:
        addresses = (stores.database_url, stores.redis_url, stores.nats_url)
        await write_everywhere(stores)
    async with EmbeddedStores(folder) as stores:
        assert (stores.database_url, stores.redis_url, stores.nats_url) == addresses
        assert await read_everywhere(stores) == {"postgres": 42, "redis": b"42", "nats": 1}


async def test_only_the_requested_stores_run(tmp_path):
    async with EmbeddedStores(tmp_path, stores=frozenset({"redis"}), durable=False) as stores:
        assert set(stores.pids) == {"redis"}


@pytest.mark.long
async def test_nothing_outlives_an_owner_that_is_killed_and_the_next_start_is_clean(tmp_path):
    owner, pids = await start_owner(tmp_path)
    await kill(owner)
    async with EmbeddedStores(tmp_path, durable=False) as stores:  # waits for the folder
        assert not any(lives(pid) for pid in pids)
        assert len(stores.pids) == 3


async def test_the_servers_end_when_even_their_guardian_is_killed(tmp_path):
    owner, pids = await start_owner(tmp_path)
    os.kill(parent_of(pids[0]), signal.SIGKILL)
    await until(lambda: not any(lives(pid) for pid in pids))
    await kill(owner)


@pytest.mark.parametrize("name", ["postgres", "redis", "nats"])
async def test_a_server_that_is_killed_comes_back_at_the_same_address(tmp_path, name):
    async with EmbeddedStores(tmp_path, stores=frozenset({name}), durable=False) as stores:
        port = json.loads((tmp_path / "ports.json").read_text())[name]
        killed = stores.pids[name]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: stores.pids.get(name, killed) != killed)
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.02)
        writer.close()
        await writer.wait_closed()


async def test_a_second_bot_on_the_same_folder_is_told_who_has_it_and_how_to_be_a_standby(tmp_path):
    owner, _ = await start_owner(tmp_path)
    with pytest.raises(
        FolderInUse, match=f"{tmp_path}.*process {owner.pid}.*standby.*DATABASE_URL, REDIS_URL, NATS_URL"
    ) as told:
        await EmbeddedStores(tmp_path, durable=False).__aenter__()
    assert "\n" not in str(told.value)
    await kill(owner)


async def test_an_interrupted_first_start_leaves_no_ruin(tmp_path):
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "half").write_text("")
    async with EmbeddedStores(tmp_path, stores=frozenset({"postgres"}), durable=False) as stores:
        connection = await asyncpg.connect(stores.database_url)
        await connection.close()


async def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="file"):
        await EmbeddedStores(tmp_path / "file" / "data").__aenter__()


async def test_a_server_that_does_not_start_is_named_with_its_reason(tmp_path):
    async with EmbeddedStores(tmp_path, stores=frozenset({"postgres"}), durable=False):
        pass
    (tmp_path / "postgres" / "postgresql.conf").write_text("no setting\n")
    with pytest.raises(EmbeddedError, match="postgres does not start"):
        await EmbeddedStores(tmp_path, stores=frozenset({"postgres"}), durable=False).__aenter__()


async def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match="pip install"):
        await EmbeddedStores(tmp_path).__aenter__()
