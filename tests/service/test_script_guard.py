"""A script that does not end keeps nobody from Valkey for longer than three seconds, and its sandbox from scripts."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError

from bot import constants
from bot.control_plane import open_control_plane
from bot.sandboxes.access.script_guard import ScriptGuard
from bot.sandboxes.access.store_restarts import RestartLog, ServerRestarts
from bot.sandboxes.lifecycle.notices import NoticeKind
from bot.sandboxes.lifecycle.script_withdrawal import ScriptWithdrawal
from bot.settings import Redis, Settings
from bot.stores.embedded import EmbeddedStores, Programs
from bot.stores.opening import open_stores
from bot.stores.redis_scripts import user_of_report
from bot.supervisor import Restarts, Supervisor
from tests.conftest import store_settings
from tests.service.conftest import ADA, ADMIN, BOB
from tests.service.servers import INSTALLED_REDIS, REDIS, needs_redis, until

BACK_WITHIN_S = 3.0
ENDLESS = "while true do end"
ENDLESS_AFTER_A_WRITE = "redis.call('SET', 'own', 1) while true do end"
ENDLESS_IN_C = "return string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(41))"


@pytest.fixture
def open_guarded(dsn, stores, nats_client, tmp_path):
    """Valkey of its own, with a bot that guards it, two sandboxes, and their clients."""

    @asynccontextmanager
    async def open_(programs=None, numbers: range | None = range(1, 100)):
        own = EmbeddedStores(tmp_path, stores=REDIS, durable=False, programs=programs)
        async with own, Supervisor() as supervisor:
            settings = Settings(
                **store_settings(stores, dsn) | {"redis": Redis(url=own.redis_url, databases=numbers, scripts=True)}
            )
            async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
                withdrawal = ScriptWithdrawal(opened.pool, manager.outbox, manager.access)
                restarts = ServerRestarts(own, "redis", RestartLog(opened.pool, lambda text: asyncio.sleep(0)))
                guard = ScriptGuard(own.redis_url, withdrawal.withdraw, manager.access.reconcile_users, restarts)
                await manager.access.reconcile_users()
                await supervisor.start("script guard", guard.run, Restarts(0.1, 0.1)).wait_running()
                scene = await _scene(own, manager)
                yield scene
                for client in scene.clients:
                    await client.aclose()
                await supervisor.end()

    return open_


async def _scene(own, manager):
    made = [(await manager.create(actor), actor) for actor in (ADA, BOB)]
    clients = []
    for sandbox, actor in made:
        details = await manager.issue_credentials(actor, sandbox.id)
        url = details.environment["SANDBOX_REDIS_URL"]
        clients.append(redis.asyncio.from_url(url, retry=None, socket_timeout=10, protocol=2))
    key = "key" if made[1][0].redis_database else made[1][0].redis_prefix + "key"
    await clients[1].set(key, 1)
    culprit = made[0][0]
    return SimpleNamespace(
        own=own, manager=manager, culprit=culprit, clients=clients, evil=clients[0], good=clients[1], key=key
    )


async def loop_for_ever(scene, script):
    """How long it took from the script's start until it was ended and the neighbour could write again."""
    began = time.monotonic()
    running = asyncio.create_task(scene.evil.eval(script, 0))
    async with asyncio.timeout(20):
        await asyncio.wait({running})
        while True:
            try:
                await scene.good.set(scene.key, 2)
                break
            except RedisError:
                await asyncio.sleep(0.01)
    took = time.monotonic() - began
    with pytest.raises(RedisError):
        await running
    return took


async def until_withdrawn(scene):
    async def is_told():
        log = await scene.manager.get_audit(ADA, scene.culprit.id)
        return [entry.details for entry in log if entry.event_type == "scripts_withdrawn"]

    async with asyncio.timeout(5):
        while not (told := await is_told()):
            await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        while True:
            try:
                await scene.evil.eval("return 1", 0)
            except NoPermissionError:
                return told
            except RedisError:  # the server has just been started again
                pass
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "restarted", "within_s"),
    [
        pytest.param(ENDLESS, False, BACK_WITHIN_S, id="killable"),
        pytest.param(ENDLESS_AFTER_A_WRITE, True, BACK_WITHIN_S, id="has-written"),
        pytest.param(ENDLESS_IN_C, True, 15, id="in-C", marks=pytest.mark.long),
    ],
)
async def test_neighbours_are_back_soon(open_guarded, script, restarted, within_s):
    """The last one says nothing at all: only that it has computed for a second tells, and on a busy machine late."""
    async with open_guarded() as scene:
        pid = scene.own.pids["redis"]
        assert await loop_for_ever(scene, script) < within_s
        assert await until_withdrawn(scene) == [{"server_restarted": restarted}]
        assert (scene.own.pids["redis"] != pid) is restarted
        assert await scene.good.eval("return 1", 0) == 1
        await scene.evil.set("own", 1)  # everything else works


async def test_many_at_once_are_ended_together(open_guarded):
    async with open_guarded() as scene:
        others = [asyncio.create_task(scene.evil.eval(ENDLESS, 0)) for _ in range(8)]
        assert await loop_for_ever(scene, ENDLESS) < BACK_WITHIN_S
        await asyncio.gather(*others, return_exceptions=True)
        await until_withdrawn(scene)


async def test_scripts_do_not_fill_the_log(open_guarded, monkeypatch):
    monkeypatch.setattr(constants, "SERVER_LOG_MOST", 100_000)
    async with open_guarded() as scene:
        log = scene.own._layout.log("redis")
        line = "for _ = 1, 200 do redis.log(redis.LOG_WARNING, ('x'):rep(1000)) end"
        await scene.evil.eval(line, 0)
        await until(lambda: log.stat().st_size < 100_000)
        await scene.evil.eval("redis.log(redis.LOG_WARNING, 'the next line')", 0)
        assert "the next line" in log.read_text()


async def test_owner_and_admins_are_told_once(open_guarded, pool):
    async with open_guarded() as scene:
        await loop_for_ever(scene, ENDLESS)
        await until_withdrawn(scene)
        outbox = scene.manager.outbox
        await outbox.fan_out([ADMIN.id])
        told = [await outbox.claim(), await outbox.claim()]
        assert {delivery.recipient_id for delivery in told} == {ADA.id, ADMIN.id}
        assert {delivery.kind for delivery in told} == {NoticeKind.SCRIPTS_WITHDRAWN}
        assert await outbox.claim() is None


async def test_whoever_leaves_before_they_are_found_is_found_the_next_time(open_guarded, told):
    """The first script is killed when its client has gone; the second ends the server, which names its user."""
    async with open_guarded() as scene:
        await send_and_leave(scene)
        await until(lambda: any("no known sandbox's" in message for _, message, _ in told))
        assert scene.own.servers["redis"].restarts == 0
        await send_and_leave(scene)
        assert await until_withdrawn(scene) == [{"server_restarted": True}]


async def send_and_leave(scene):
    """The script arrives, and the connection is reset before anybody can ask whose it was."""
    connection = scene.evil.connection_pool.make_connection()
    await connection.connect()
    await connection.send_command("EVAL", ENDLESS, 0)
    connection._writer.transport.abort()
    await connection.disconnect(nowait=True)


async def test_the_servers_return_makes_the_users_again(open_guarded):
    async with open_guarded() as scene:
        os.kill(scene.own.pids["redis"], signal.SIGKILL)
        await until(lambda: scene.own.servers["redis"].restarts == 1)
        await scene.own.wait_for("redis")
        await scene.manager.access.reconcile_users()
        await scene.good.set(scene.key, 3)


@needs_redis
@pytest.mark.parametrize(
    "script", [ENDLESS, ENDLESS_AFTER_A_WRITE.replace("'own'", "KEYS[1]")], ids=["killable", "not"]
)
async def test_redis_7_is_guarded_too(open_guarded, script):
    async with open_guarded(Programs(valkey=INSTALLED_REDIS), None) as scene:
        evil = scene.evil
        scene.evil = SimpleNamespace(
            eval=lambda script, _: evil.eval(script, 1, scene.culprit.redis_prefix + "own"), set=evil.set
        )
        assert await loop_for_ever(scene, script) < BACK_WITHIN_S
        await until_withdrawn(scene)


def test_a_report_names_who_ran_a_script_and_nobody_else():
    line = "id=6 addr=127.0.0.1:1 name=user=sandbox-x cmd={} user=sandbox-y redir=-1\n"
    begin = "------ CURRENT CLIENT INFO ------\n"
    assert user_of_report(begin + line.format("eval")) == "sandbox-y"
    assert user_of_report(begin + line.format("evalsha_ro")) == "sandbox-y"
    assert user_of_report(begin + line.format("keys")) is None
    assert user_of_report("nothing") is None
