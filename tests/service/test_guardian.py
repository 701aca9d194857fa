"""The process that supervises the embedded servers, when it or they end."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio
from loguru import logger

from bot.stores.embedded import EmbeddedError, EmbeddedStores, FolderInUse, GuardianEnded
from bot.stores.embedded.configuration import launch_command
from bot.stores.launch import PARENT
from bot.stores.nats_client import open_nats
from bot.stores.postgres import connected, open_pool
from bot.stores.redis_client import open_redis
from tests.service.servers import REDIS, lives, parent_of, read_everywhere, until, write_everywhere


@pytest.fixture
def logged():
    """The records of the log."""
    records = []
    sink = logger.add(lambda message: records.append(message.record), level="DEBUG")
    yield records
    logger.remove(sink)


async def kill_guardian(stores):
    """With the servers, whose pids it returns."""
    pids = dict(stores.pids)
    os.kill(parent_of(pids["postgres"]), signal.SIGKILL)
    with pytest.raises(GuardianEnded, match="exit code -9"):
        await asyncio.wait_for(stores.watch(), 5)
    return pids


async def test_a_guardian_that_is_killed_is_noticed_and_started_again_on_the_same_data_and_addresses(tmp_path):
    async with EmbeddedStores(tmp_path) as stores:
        addresses = (stores.database_url, stores.redis_url, stores.nats_url, stores.nats_callout)
        await write_everywhere(stores)
        for turn in (1, 2):
            killed = await kill_guardian(stores)
            await stores.restart()
            assert (stores.database_url, stores.redis_url, stores.nats_url, stores.nats_callout) == addresses
            assert await read_everywhere(stores) == {"postgres": 42, "redis": b"42", "nats": 1}
            assert not set(killed.values()) & set(stores.pids.values())
            assert {name: state.restarts for name, state in stores.servers.items()} == dict.fromkeys(killed, turn)
        with pytest.raises(FolderInUse, match=f"process {os.getpid()}"):
            await EmbeddedStores(tmp_path).__aenter__()
        restarted = stores.pids.values()
    assert not any(map(lives, restarted))


async def test_the_bots_clients_go_on_after_a_restart(tmp_path):
    async with EmbeddedStores(tmp_path) as stores:
        await write_everywhere(stores)
        pool, cache, bus = (
            await open_pool(stores.database_url),
            await open_redis(stores.redis_url),
            await open_nats(stores.nats_url),
        )
        await kill_guardian(stores)
        await stores.restart()
        async with connected(pool) as connection:
            assert await connection.fetchval("SELECT value FROM kept") == 42
        assert await cache.get("kept") == b"42"
        await until(lambda: bus.is_connected)
        assert (await bus.jetstream().stream_info("KEPT")).state.messages == 1
        await bus.close()
        await cache.aclose()
        await pool.close()


async def test_a_server_that_hangs_does_not_keep_the_guardian_from_its_restart(tmp_path, monkeypatch):
    monkeypatch.setattr("bot.constants.SERVERS_GONE_WITHIN_S", 0.3)
    async with EmbeddedStores(tmp_path) as stores:
        await write_everywhere(stores)
        hanging = stores.pids["redis"]
        os.kill(hanging, signal.SIGSTOP)
        await kill_guardian(stores)
        assert lives(hanging)
        await stores.restart()
        assert not lives(hanging)
        assert await read_everywhere(stores) == {"postgres": 42, "redis": b"42", "nats": 1}


async def test_the_number_of_an_earlier_postgres_may_be_anybodys_by_now(tmp_path):
    postgres = frozenset({"postgres"})
    async with EmbeddedStores(tmp_path, stores=postgres, durable=False):
        lines = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
    (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with EmbeddedStores(tmp_path, stores=postgres, durable=False) as stores:
        await (await asyncpg.connect(stores.database_url)).close()


async def test_a_server_that_ends_again_and_again_is_told_once_and_its_state_says_so(tmp_path, logged):
    async with EmbeddedStores(tmp_path, stores=REDIS, durable=False) as stores:
        state = stores.servers["redis"]
        assert (state.restarts, state.last_exit) == (0, None)
        for turn in (1, 2, 3):
            os.kill(state.pid, signal.SIGKILL)
            await until(lambda turn=turn: state.restarts == turn and state.pid is not None)
        assert state.last_exit == -signal.SIGKILL
    told = [record["level"].name for record in logged if "ended" in record["message"]]
    assert told == ["WARNING", "DEBUG", "DEBUG"]


async def test_servers_that_are_shared_are_their_owners_to_watch(tmp_path):
    async with EmbeddedStores(tmp_path, stores=REDIS, durable=False) as owner:
        assert owner.is_owner
        async with EmbeddedStores(tmp_path, stores=REDIS, durable=False, share=True) as guest:
            assert (guest.is_owner, guest.servers, guest.redis_url) == (False, {}, owner.redis_url)


def guardian_of(stores):
    """Its number; None while there is none."""
    guardian = stores._processes and stores._processes._guardian
    return guardian and guardian.pid


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


MOMENTS = {
    "it is there": lambda stores: True,
    "it starts servers": lambda stores: children_of(guardian_of(stores)),
    "it has started them": lambda stores: len(stores.pids) == 3,
}


@pytest.mark.long
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_guardian_that_is_killed_during_the_start_ends_it_and_leaves_nothing(tmp_path, moment):
    stores = EmbeddedStores(tmp_path)
    starting = asyncio.create_task(stores.__aenter__())
    await until(lambda: guardian_of(stores) and MOMENTS[moment](stores))
    os.kill(guardian_of(stores), signal.SIGKILL)
    with pytest.raises(EmbeddedError):
        await starting
    await until(lambda: may_lock(tmp_path))
    async with EmbeddedStores(tmp_path) as stores:
        await write_everywhere(stores)


def may_lock(folder):
    """Whether no process is left that has inherited the folder's lock."""
    with (folder / "lock").open() as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


async def test_a_guardian_that_is_killed_again_while_it_is_started_again_is_started_once_more(tmp_path):
    async with EmbeddedStores(tmp_path, stores=REDIS) as stores:
        os.kill(first := guardian_of(stores), signal.SIGKILL)
        restarting = asyncio.create_task(stores.restart())
        await until(lambda: guardian_of(stores) not in (None, first))
        os.kill(guardian_of(stores), signal.SIGKILL)
        with pytest.raises(EmbeddedError):
            await restarting
        await stores.restart()
        async with redis.asyncio.from_url(stores.redis_url) as cache:
            assert await cache.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's death")
async def test_a_server_whose_guardian_is_gone_before_it_begins_does_not_begin(tmp_path):
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    server = await asyncio.create_subprocess_exec(
        *launch_command([sys.executable, "-c", "open('began', 'w')"], signal.SIGTERM),
        cwd=tmp_path,
        env={**os.environ, PARENT: str(gone.pid)},
    )
    assert (await server.wait(), (tmp_path / "began").exists()) == (1, False)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has a score for it")
def test_on_the_way_to_a_server_runs_no_code_of_others(tmp_path):
    """As of a tracer, which begins threads; and what has threads can't leave root."""
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('customized')")
    command = launch_command([sys.executable, "-I", "-S", "-c", "print('became it')"], signal.SIGKILL)
    launched = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (launched.stdout, launched.stderr) == ("became it\n", "")


async def test_where_memory_runs_out_each_server_goes_before_the_guardian_and_the_bot(stores):
    def score(pid):
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    scores = {name: score(pid) for name, pid in stores.pids.items()}
    most = max(score(parent_of(stores.pids["redis"])), score(os.getpid()))
    assert scores == dict.fromkeys(("nats", "postgres", "redis"), most + 100)
