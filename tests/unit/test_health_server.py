"""The HTTP server for whoever watches the bot, and to whom it answers."""

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web
from loguru import logger

from bot import constants, log
from bot.certificates import write_certificates
from bot.health.server import serve_health
from bot.settings import Health, Relay, Settings, SettingsError
from tests.cluster.server import free_ports
from tests.forks import run_command

LOCAL = Settings(health=Health(listen="127.0.0.1:0"))


@pytest.fixture
async def server():
    async with serve_health(LOCAL) as server:
        yield server


@pytest.fixture
async def ask(server):
    async with aiohttp.ClientSession() as session:

        async def ask(path, method="GET", **headers):
            async with session.request(method, server.address + path, headers=headers) as answer:
                return answer.status, await answer.text(), answer.headers

        yield ask


async def test_it_is_off_if_nothing_is_said():
    async with serve_health(Settings()) as server:
        assert server is None


async def test_it_says_that_it_lives_and_which_version_it_is(ask):
    assert (await ask("/livez"))[:2] == (200, "alive\n")
    status, text, headers = await ask("/version")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert '"discord.py": "2.' in text


async def test_a_head_has_the_answer_without_its_body(ask):
    status, text, headers = await ask("/livez", "HEAD")
    assert (status, text, headers["Content-Length"]) == (200, "", "6")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_can_be_changed(ask, method):
    status, _, headers = await ask("/livez", method)
    assert (status, headers["Allow"]) == (405, "GET,HEAD")


async def test_a_path_that_is_none_names_those_that_are(ask):
    assert (await ask("/"))[:2] == (404, "There are /livez, /readyz, /version.\n")


async def test_others_may_add_what_they_tell(server, ask):
    async def tell(request):
        return web.Response(text="told")

    server.routes["/metrics"] = tell
    assert (await ask("/metrics"))[:2] == (200, "told")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8792"}, 200),
        ({"Host": "[::1]:8792"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "evil.example.com:8792"}, 403),
        ({"Host": "[nonsense"}, 403),
        ({"Host": "localhost:8792", "Origin": "http://localhost:8792"}, 200),
        ({"Host": "localhost:8792", "Origin": "https://evil.example.com"}, 403),
        ({"Host": "localhost:8792", "Origin": "null"}, 403),
        ({"Host": "localhost:8792", "Origin": "http://[nonsense"}, 403),
    ],
)
async def test_on_loopback_no_page_or_name_of_others_leads_to_it(ask, headers, status):
    assert (await ask("/livez", **headers))[0] == status


@pytest.fixture
async def connect(server):
    """Opens a connection on which a question is begun and never ended."""
    opened = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.address.rpartition(":")[2]))
        opened.append(writer)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: local")
        return reader

    yield connect
    for writer in opened:
        writer.close()


async def ended(reader):
    """Whether the server has cut the connection off; waits for it."""
    try:
        async with asyncio.timeout(10):
            return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_who_holds_many_connections_keeps_nobody_else_out_and_loses_the_oldest(ask, connect, monkeypatch):
    monkeypatch.setattr(constants, "HEALTH_CONNECTIONS", 5)
    held = [await connect() for _ in range(12)]
    assert (await ask("/livez"))[0] == 200
    assert [await ended(reader) for reader in held[:8]] == [True] * 8
    assert not any(reader.at_eof() for reader in held[8:])


async def test_who_asks_nothing_for_long_is_cut_off(monkeypatch):
    monkeypatch.setattr(constants, "HEALTH_IDLE_CONNECTION_S", 0.1)
    async with serve_health(LOCAL) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.address.rpartition(":")[2]))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: local")
        assert await ended(reader)
        writer.close()


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 9000]
)
async def test_who_speaks_no_http_is_refused_and_no_fault_of_the_bots(server, capsys, said):
    log.configure()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.address.rpartition(":")[2]))
    writer.write(said)
    assert (await reader.readline()).endswith(b"400 Bad Request\r\n")
    writer.close()
    logger.remove()
    assert capsys.readouterr().err == ""


async def test_off_loopback_it_is_refused_in_the_clear_unless_that_is_wanted():
    with pytest.raises(SettingsError, match=r"^health\.listen: 0.0.0.0:0 .*how the bot is .*health\.plaintext = true"):
        async with serve_health(Settings(health=Health(listen="0.0.0.0:0"))):
            pass
    async with serve_health(Settings(health=Health(listen="0.0.0.0:0", plaintext=True))) as server:
        address = server.address.replace("0.0.0.0", "127.0.0.1")
        elsewhere = {"Host": "bot.example.com"}
        async with aiohttp.ClientSession() as session, session.get(f"{address}/livez", headers=elsewhere) as answer:
            assert answer.status == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_all_addresses_are_those_of_ipv4_too():
    async with serve_health(Settings(health=Health(listen="[::]:0", plaintext=True))) as server:
        for host in ("127.0.0.1", "[::1]"):
            address = server.address.replace("[::]", host)
            async with aiohttp.ClientSession() as session, session.get(f"{address}/livez") as answer:
                assert answer.status == 200


async def test_with_a_certificate_it_speaks_tls_and_the_command_asks_it_by_the_settings(tmp_path):
    write_certificates(tmp_path, ["bot.example.com"])
    (port,) = free_ports(1)
    named = {"certificate": tmp_path / "relay.pem", "key": tmp_path / "relay.key"}
    async with serve_health(Settings(health=Health(listen=f"0.0.0.0:{port}", **named))) as server:
        assert server.address == f"https://0.0.0.0:{port}"
        paths = {f"BOT_HEALTH__{key.upper()}": str(path) for key, path in named.items()}
        environment = {"BOT_HEALTH__LISTEN": f"0.0.0.0:{port}", **paths}
        asked = await asyncio.to_thread(run_command, ["health"], cwd=tmp_path, env=environment)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr.startswith("sandbox-bot: not ready: start since 20")
    assert asked.stderr.endswith(": the bot is starting\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["health"], 78, "health.listen: it is off; set an address like 127.0.0.1:8792"),
        (["health", "--url", "127.0.0.1:8792"], 2, "write an address like http://127.0.0.1:8792"),
        (["health", "--url", "http://127.0.0.1:9"], 1, "http://127.0.0.1:9 does not answer: "),
    ],
)
def test_the_command_says_in_one_line_why_it_knows_nothing(tmp_path, arguments, code, said):
    asked = run_command(arguments, cwd=tmp_path, env={})
    assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (code, "", 1)
    assert said in asked.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"text": "a page", "status": 404}, "404 Not Found"),
        ({"text": '{"status": "UP"}', "content_type": "application/json"}, "it says nothing that a bot would"),
        ({"text": "[]", "content_type": "application/json"}, "it says nothing that a bot would"),
    ],
)
async def test_the_command_takes_no_other_server_for_a_bot(server, tmp_path, answer, said):
    async def tell(request):
        return web.Response(**answer)

    server.routes["/readyz"] = tell
    asked = await asyncio.to_thread(run_command, ["health", "--url", server.address], cwd=tmp_path, env={})
    assert (asked.returncode, asked.stderr) == (1, f"sandbox-bot: {server.address} does not answer: {said}\n")


@pytest.mark.parametrize("listen", ["127.0.0.1:8791", "0.0.0.0:8791"])
async def test_the_port_of_the_relay_is_refused(listen):
    settings = Settings(health=Health(listen=listen, plaintext=True), relay=Relay(listen="127.0.0.1:8791"))
    with pytest.raises(SettingsError, match=r"^health\.listen: .* has the relay's port"):
        async with serve_health(settings):
            pass


async def test_a_port_that_is_taken_is_named(server):
    taken = server.address.removeprefix("http://")
    with pytest.raises(SettingsError, match=rf"^health\.listen: {taken} cannot be listened on"):
        async with serve_health(Settings(health=Health(listen=taken))):
            pass


@pytest.mark.parametrize("listen", ["systemd", "fd:3", "8792"])
def test_it_listens_at_an_address_alone(listen):
    with pytest.raises(ValueError, match=r"write an address like 127\.0\.0\.1:879"):
        Health(listen=listen)


async def test_before_anybody_knows_more_it_is_not_ready(ask):
    status, text, _ = await ask("/readyz")
    assert status == 503
    assert '"ready": false, "checks": {"start": {"ok": false, "detail": "the bot is starting", "since": "20' in text
