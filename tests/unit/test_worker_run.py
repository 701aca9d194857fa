"""The parts of `sandbox-worker run`, each by itself; what they do together is tried in `tests/e2e/relay`."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from sandbox_worker import WrongEnvironment
from sandbox_worker.environment import read_bot_login
from sandbox_worker.run.authority import make_authority
from sandbox_worker.run.client_hello import is_whole, server_name
from sandbox_worker.run.forwarder import Forwarder, Origin
from sandbox_worker.run.heads import read_head
from sandbox_worker.run.hooking import hooked, understands_hooks
from sandbox_worker.run.name_server import ADDRESS, answer
from sandbox_worker.run.names import is_discord
from sandbox_worker.run.namespace import ports_in
from sandbox_worker.trust import trusted_by


@pytest.fixture(scope="module")
def authority():
    return make_authority()


@pytest.fixture
async def relay():
    """Says what it was asked, and returns what is sent to it on a WebSocket."""

    async def handle(request):
        if request.headers.get("Upgrade") != "websocket":
            asked = {"host": request.host, "path": request.path_qs, "body": (await request.read()).decode()}
            return web.json_response({**asked, "connection": id(request.transport)})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data)
        return socket

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield "http://{}:{}".format(*runner.addresses[0])
    await runner.cleanup()


@asynccontextmanager
async def forwarding(authority, address):
    """A client to whom the forwarder is discord.com."""
    origin = Origin.of(address)
    trust = ssl.create_default_context(cadata=authority.certificate)
    async with (
        await Forwarder(origin, origin, trusted_by("")).listen(authority.tls) as server,
        aiohttp.ClientSession("https://{}:{}".format(*server.sockets[0].getsockname())) as session,
    ):
        yield session, {"ssl": trust, "server_hostname": "discord.com"}


async def test_a_connection_that_the_end_of_the_program_cuts_is_no_error(relay):
    origin, begun = Origin.of(relay), asyncio.Queue[asyncio.Task[None]]()
    forwarder = Forwarder(origin, origin, trusted_by(""))

    async def serve(reader, writer):
        begun.put_nowait(asyncio.current_task())
        await forwarder.serve(reader, writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        task = await begun.get()
        task.cancel()
        await asyncio.wait([task])
        assert task.exception() is None
        writer.close()


async def test_requests_on_one_connection_are_each_addressed_to_the_relay(authority, relay):
    async def pieces():
        yield b"in "
        yield b"chunks"

    async with forwarding(authority, relay) as (session, tls):
        async with session.get("/api/v10/gateway?a=1", **tls) as response:
            first = await response.json()
        async with session.post("/api", data=pieces(), headers={"Host": "discord.com"}, **tls) as response:
            second = await response.json()
        async with session.put("/api", data="x" * 200_000, **tls) as response:
            third = await response.json()
    host = relay.removeprefix("http://")
    assert (first["host"], first["path"]) == (host, "/api/v10/gateway?a=1")
    assert (second["host"], second["body"]) == (host, "in chunks")
    assert (third["host"], len(third["body"])) == (host, 200_000)
    assert first["connection"] == second["connection"] == third["connection"]


async def test_a_websocket_passes_in_both_directions(authority, relay):
    async with forwarding(authority, relay) as (session, tls), session.ws_connect("/", **tls) as websocket:
        await websocket.send_bytes(b"heartbeat" * 30_000)
        assert (await websocket.receive()).data == b"heartbeat" * 30_000


async def test_a_relay_that_is_away_is_an_outage_and_no_refusal(authority):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = "http://{}:{}".format(*nobody.getsockname())
    async with forwarding(authority, address) as (session, tls), session.get("/api/v10/gateway", **tls) as response:
        assert response.status == 503


async def test_what_is_no_request_ends_the_connection(authority, relay):
    async with forwarding(authority, relay) as (session, tls):
        host, port = session._base_url.host, session._base_url.port
        reader, writer = await asyncio.open_connection(host, port, **tls)
        writer.write(b"EHLO relay\r\n\r\n")
        assert await reader.read() == b""
        writer.close()


def test_the_authority_can_vouch_for_discords_names_alone(authority):
    certificate = x509.load_pem_x509_certificate(authority.certificate.encode())
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert {name.value for name in constraints.value.permitted_subtrees} == {
        "discord.com",
        "discord.gg",
        "discordapp.com",
    }
    assert {name.value for name in constraints.value.excluded_subtrees} == {"cdn.discordapp.com"}


def test_without_the_extra_it_is_said_how_to_install_it():
    program = "import sys; sys.modules['cryptography'] = None; import sandbox_worker.run.authority"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'sandbox-worker[run]'" in done.stderr


def test_nothing_of_an_authority_stays_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make_authority()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "led"),
    [
        ("discord.com", True),
        ("Gateway.Discord.GG.", True),
        ("canary.discord.com", True),
        ("cdn.discordapp.com", False),
        ("media.discordapp.net", False),
        ("notdiscord.com", False),
        ("discord.com.example.org", False),
    ],
)
def test_discords_api_and_gateway_are_led_and_nothing_else(host, led):
    assert is_discord(host) is led


def python(authority, program, *flags, forwarder="127.0.0.1:1", **environ):
    """What a program says that is led by the hook, and its exit code."""
    before = {**os.environ, "SANDBOX_BOT_TOKEN": "the sandbox's", **environ}
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        env=hooked(before, ["DISCORD_TOKEN"], forwarder, authority.certificate),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def test_a_way_round_the_hook_ends_before_the_token_is_sent(authority, tmp_path):
    """It leads to a server that the program trusts, and that is not the relay: as Discord itself would be."""
    discord, heard = make_authority(), []

    async def hear(reader, writer):
        heard.append(await reader.read(5))
        writer.close()

    trusted = tmp_path / "trusted.pem"
    trusted.write_text(discord.certificate)
    program = (
        "import _socket, socket, ssl\n"
        "plain = socket.socket()\n"
        "_socket.socket.connect(plain, ('127.0.0.1', {}))\n"
        "context = ssl.create_default_context()\n"
        "context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
        "context.wrap_socket(plain, server_hostname='{}').sendall(b'token')\n"
    )
    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=discord.tls) as server:
        port = server.sockets[0].getsockname()[1]
        trust = {"SSL_CERT_FILE": str(trusted)}
        other = await asyncio.to_thread(python, authority, program.format(port, "cdn.discordapp.com"), **trust)
        led = await asyncio.to_thread(python, authority, program.format(port, "discord.com"), **trust)
    assert other == (0, "")
    assert led[0] == 1
    assert "CERTIFICATE_VERIFY_FAILED" in led[1]
    assert heard == [b"token"]


def test_a_sitecustomize_that_was_there_before_is_imported_too(authority, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('the one of before')")
    assert python(authority, "pass", PYTHONPATH=str(tmp_path)) == (0, "the one of before\n")


def test_python_does_not_start_where_it_cannot_be_led(authority):
    code, said = python(authority, "print('started')", forwarder="nowhere")
    assert code == 70
    assert "cannot be led to the relay" in said
    assert "started" not in said


def test_a_python_that_skips_the_hook_has_no_token(authority):
    show = "import os; print(os.environ.get('DISCORD_TOKEN'))"
    assert python(authority, show, DISCORD_TOKEN="a real one") == (0, "the sandbox's\n")
    assert python(authority, show, "-I", DISCORD_TOKEN="a real one") == (0, "None\n")


@pytest.mark.parametrize(
    ("name", "content", "understood"),
    [
        ("python3.12", b"\x7fELF", True),
        ("node", b"\x7fELF", True),
        ("mybot", b"#!/home/ada/.venv/bin/python\nimport mybot", True),
        ("mybot", b"#!/usr/bin/env -S node --enable-source-maps\n", True),
        ("mybot", b"#!/bin/sh\n'''exec' '/a long path/bin/python' \"$0\" \"$@\"\n", True),
        ("start.sh", b"#!/bin/sh\nexec python bot.py", False),
        ("mybot", b"\x7fELF", False),
    ],
)
def test_python_and_node_are_recognized_by_their_names_and_first_lines(tmp_path, name, content, understood):
    program = tmp_path / name
    program.write_bytes(content)
    assert understands_hooks(program) is understood


def test_what_the_environment_has_already_stays_beside_the_hooks(authority):
    before = {"PYTHONPATH": "/mine", "NODE_OPTIONS": "--enable-source-maps", "NO_PROXY": "example.org"}
    after = hooked(before, ["DISCORD_TOKEN"], "127.0.0.1:1", authority.certificate)
    assert all(after[name].endswith(value) for name, value in before.items())


def test_ports_are_those_of_the_web_and_of_every_address_in_the_environment():
    environ = {
        "SANDBOX_NATS_URL": "nats://user:se:cret@10.0.0.3:4333",
        "DATABASE_URL": "postgresql://user@db/mine",
        "CLUSTER": "redis://a:7001,b:7002/0?x=y",
        "METRICS_PORT": "9100",
        "PATH": "/usr/bin:/bin",
        "WRONG_PORT": "99999",
    }
    assert ports_in(environ) == [53, 80, 443, 4333, 5432, 7001, 7002, 9100]


def hello(host):
    """What a TLS client of this Python sends first."""
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def test_the_server_that_a_tls_client_wants_is_read_when_it_is_all_there():
    whole = hello("gateway.discord.gg")
    assert server_name(whole) == "gateway.discord.gg"
    assert is_whole(whole)
    assert [length for length in range(len(whole)) if is_whole(whole[:length])] == []
    assert is_whole(b"GET / HTTP/1.1")
    assert server_name(b"GET / HTTP/1.1") is None
    assert {server_name(whole[:length]) for length in range(60)} == {None}


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x12\x34" + struct.pack(">HHHHH", 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def test_names_of_discord_have_one_address_and_all_others_are_somebody_elses():
    told = answer(question("Discord.com", 1))
    assert told is not None
    assert told[:2] == b"\x12\x34"
    assert told.endswith(socket.inet_aton(ADDRESS))
    for kind in (28, 65):  # AAAA, and HTTPS, which may hide the server's name
        assert struct.unpack_from(">H", answer(question("discord.com", kind)) or b"", 6) == (0,)
    assert answer(question("example.org", 1)) is None


def test_a_head_without_a_host_is_addressed_too():
    head = read_head(b"GET / HTTP/1.0\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "relay:1")
    assert head.raw.startswith(b"GET / HTTP/1.0\r\nHost: relay:1\r\n")
    assert head.length is None


def test_an_environment_without_a_relay_says_whom_to_ask():
    with pytest.raises(WrongEnvironment, match="no relay serves"):
        read_bot_login({"SANDBOX_BOT_TOKEN": "a.b.c"}, Path("/nowhere/.env"))
