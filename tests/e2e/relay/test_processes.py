"""`sandbox-bot relay` as processes of their own, and what becomes of clients when one ends.

Each test starts Python two or three times, which is what it costs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time

import aiohttp
import pytest

from bot import metrics
from bot.certificates import write_certificates
from bot.sandboxes.access.tokens import make_bot_token
from bot.sandboxes.model import Actor
from tests.e2e.readiness import watching
from tests.e2e.relay.processes import RELAY, RelayProcess, environment_of, free_port, relay_process
from tests.e2e.relay.wire import connected, identified
from tests.e2e.test_cli import environment  # noqa: F401  # fixture
from tests.forks import run_command
from tests.scrapes import scrape_over_http
from tests.service.servers import lives, until

pytestmark = pytest.mark.long


@pytest.fixture
async def blue(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="blue", guild_ids=[scene.lab.id])


@pytest.fixture
async def token(scene, blue):
    details = await scene.app.manager.issue_credentials(Actor(scene.ada.id, "ada"), blue.id)
    secret = details.environment["SANDBOX_NATS_URL"].split(":")[2].split("@")[0]
    return make_bot_token(scene.discord.application_id, blue.short_id, secret)


async def goes_on(scene, earlier, address, token, **options):
    """The session does, with what has come meanwhile."""
    await scene.ada.send(scene.lab.general, "meanwhile")
    async with connected(address, token, **options) as wire:  # waits in the backlog as long as nobody serves
        await wire.resume(earlier)
        assert (await wire.receive("MESSAGE_CREATE"))["content"] == "meanwhile"
        await wire.receive("RESUMED")


async def test_a_relay_that_is_killed_is_there_again_and_sessions_go_on(
    scene,
    token,
    environment,  # noqa: F811
    discord,
):
    async with (
        relay_process(environment, discord) as relay,
        identified(relay.address, token) as wire,
    ):
        (child,) = relay.children
        os.kill(child, signal.SIGKILL)
        assert await wire.close_code() in (None, 1006)
        await goes_on(scene, wire, relay.address, token)
        assert relay.children != [child]
        assert sum("ready: the relay serves" in line for line in relay.lines) == 2


async def test_sighup_starts_it_anew_and_tells_clients_to_resume(
    scene,
    token,
    environment,  # noqa: F811
    discord,
):
    async with (
        relay_process(environment, discord) as relay,
        identified(relay.address, token) as wire,
    ):
        (child,) = relay.children
        relay.process.send_signal(signal.SIGHUP)
        await wire.receive(7)
        assert await wire.close_code() == 4000
        await goes_on(scene, wire, relay.address, token)
        assert relay.children != [child]


async def test_whoever_kills_a_relay_finds_its_port_free(
    environment,  # noqa: F811
    discord,
):
    async with relay_process(environment, discord) as relay:
        (child,) = relay.children
        await relay.stop(signal.SIGKILL)
        await until(lambda: not lives(child), 30)
    async with relay_process(environment, discord, port=int(relay.address.rpartition(":")[2])):
        pass


async def test_relays_side_by_side_go_on_with_each_others_sessions(
    scene,
    blue,
    token,
    environment,  # noqa: F811
    discord,
):
    async with (
        relay_process(environment, discord) as first,
        relay_process(environment, discord) as second,
        identified(first.address, token) as wire,
    ):
        health = await scene.app.manager.get_health(blue.id)
        assert set(health.relay.addresses) == {first.address, second.address}
        await wire.socket.close(code=4000)
        await goes_on(scene, wire, second.address, token)
        assert (await first.stop())[0] == 0

        async def is_noticed():
            return (await scene.app.manager.get_health(blue.id)).relay.addresses == (second.address,)

        await scene.until(is_noticed)


async def test_a_socket_of_systemds_is_served_on(
    token,
    environment,  # noqa: F811
    discord,
):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, fileno = listening.getsockname()[1], listening.fileno()
        started = f"exec 3<&{fileno}; LISTEN_FDS=1 LISTEN_PID=$$ exec {' '.join(RELAY)}"
        chosen = {"BOT_RELAY__LISTEN": "systemd", "BOT_RELAY__ADDRESS": f"http://127.0.0.1:{port}"}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", started),
            env=environment_of(environment, discord) | chosen,
            pass_fds=(fileno,),
            stderr=asyncio.subprocess.PIPE,
        )
        relay = RelayProcess(process, f"http://127.0.0.1:{port}")
        try:
            async with identified(relay.address, token):  # the connection waits for it
                pass
        finally:
            assert (await relay.stop())[0] == 0


async def test_with_the_installations_own_certificates_clients_come_by_wss(
    tmp_path,
    token,
    environment,  # noqa: F811
    discord,
):
    write_certificates(tmp_path, ["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    files = {
        "BOT_RELAY__CERTIFICATE": str(tmp_path / "relay.pem"),
        "BOT_RELAY__KEY": str(tmp_path / "relay.key"),
    }
    async with (
        relay_process(environment, discord, ssl=trusting, scheme="https", **files) as relay,
        connected(relay.address, token, ssl=trusting) as wire,
    ):
        await wire.send(2, {"token": token, "intents": 1, "properties": {}})
        assert (await wire.receive("READY"))["resume_gateway_url"] == relay.address.replace("https", "wss")
        assert await wire.request("GET", "/users/@me") == 200


async def test_off_loopback_it_refuses_to_serve_in_the_clear_unless_told_to(
    tmp_path,
    environment,  # noqa: F811
    discord,
):
    port = free_port()
    open_to_all = environment_of(environment, discord) | {"BOT_RELAY__LISTEN": f"0.0.0.0:{port}"}
    for command in ("relay", "run"):
        ended = await asyncio.to_thread(run_command, [command], cwd=tmp_path, env=open_to_all)
        assert ended.returncode == 78
        assert "tokens would pass in the clear" in ended.stderr
        assert "relay.plaintext = true" in ended.stderr
    async with relay_process(
        environment, discord, BOT_RELAY__LISTEN=f"0.0.0.0:{port}", BOT_RELAY__PLAINTEXT="true", port=port
    ):
        pass


async def test_a_socket_that_is_missing_or_one_of_many_is_refused(
    tmp_path,
    environment,  # noqa: F811
    discord,
):
    for changes in ({}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}):
        ended = await asyncio.to_thread(
            run_command,
            ["relay"],
            cwd=tmp_path,
            env=environment_of(environment, discord) | {"BOT_RELAY__LISTEN": "systemd"} | changes,
        )
        assert (ended.returncode, "systemd has handed over no socket" in ended.stderr) == (78, True)


async def test_a_relay_of_its_own_says_whether_it_is_ready(
    environment,  # noqa: F811
    discord,
    tmp_path,
):
    port = free_port()
    write_certificates(tmp_path, ["localhost"])
    named = {
        f"BOT_RELAY__{name}".upper(): str(tmp_path / f"relay.{end}")
        for name, end in (("certificate", "pem"), ("key", "key"))
    }
    async with (
        relay_process(environment, discord, scheme="https", ssl=False, BOT_HEALTH__LISTEN=f"127.0.0.1:{port}", **named),
        watching(f"http://127.0.0.1:{port}") as watch,
    ):
        await watch.until_ready()
        _, checks = await watch.ask()
        assert {"relay", "postgres", "redis", "nats", "part relay"} <= checks.keys()
        assert not {"bot", "gateway", "routes"} & checks.keys()
        async with aiohttp.ClientSession() as session:
            told = await scrape_over_http(session, f"http://127.0.0.1:{port}")
        assert told(metrics.PART_RUNNING, part="relay") == told(metrics.READY, check="relay") == 1
        assert told(metrics.RELAY_CLIENTS) == 0
        assert told(metrics.CERTIFICATE_END, service="relay") > time.time()
        assert told(metrics.LOG_LINES, level="INFO", logger="bot.relay.part") == 1
