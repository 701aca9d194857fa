"""A sandbox's bot, and anybody who reaches the port, against the relay's gateway and its logins."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import time
import zlib
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from bot.sandboxes.model import Actor
from bot.stores.postgres import connected
from tests.breakout.relay_arena import until, watched

INTENTS = 1 << 0 | 1 << 9 | 1 << 15


@pytest.fixture(autouse=True)
def unharmed(arena):
    heard = len(arena.heard)
    with watched(arena):
        yield
    assert not any(each["op"] in (7, 9) for each in arena.heard[heard:])


def identify(token, **changes):
    return {"op": 2, "d": {"token": token, "intents": INTENTS, "properties": {"browser": "attack"}, **changes}}


@asynccontextmanager
async def connected_to(arena, query="?v=10"):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{arena.line.port}/{query}", max_msg_size=0) as socket,
    ):
        yield socket


async def until_event(socket, name):
    while True:
        message = await socket.receive_json(timeout=10)
        if message.get("t") == name:
            return message["d"]


async def close_code(socket):
    while not socket.closed:
        await socket.receive(timeout=15)
    return socket.close_code


async def sandbox_of(arena, name, guild):
    manager = arena.app.manager
    actor = Actor(arena.ada.id, "ada", is_admin=True)
    sandbox = await manager.create(actor, name=name, guild_ids=[guild.id])
    return sandbox, await arena.new_token(sandbox, arena.ada)


async def rotate(arena, sandbox):
    await arena.new_token(sandbox, arena.ada)


async def destroy(arena, sandbox):
    await arena.app.manager.destroy(Actor(arena.ada.id, "ada"), sandbox.id)


async def expire(arena, sandbox):
    async with connected(arena.app.stores.pool) as connection:
        await connection.execute("UPDATE sandboxes SET expires_at = now() WHERE id = $1", sandbox.id)


@pytest.mark.parametrize("end", [rotate, destroy, expire])
async def test_a_token_that_is_over_opens_nothing_within_two_seconds(arena, end):
    guild = arena.discord.add_guild(f"Guild to {end.__name__}", owner=arena.ada)
    sandbox, token = await sandbox_of(arena, f"to-{end.__name__}", guild)
    async with connected_to(arena) as socket:
        await socket.send_json(identify(token))
        ready = await until_event(socket, "READY")
        assert (await arena.ask("GET", f"/guilds/{guild.id}", token))[0] == 200
        await end(arena, sandbox)
        begun = time.monotonic()
        assert await close_code(socket) == 4004
        assert time.monotonic() - begun < 2
        while (await arena.ask("GET", f"/guilds/{guild.id}", token))[0] != 401:
            assert time.monotonic() - begun < 2
    resume = {"op": 6, "d": {"token": token, "session_id": ready["session_id"], "seq": 1}}
    for first in (identify(token), resume):
        async with connected_to(arena) as socket:
            await socket.send_json(first)
            assert await close_code(socket) == 4004


@pytest.mark.parametrize(
    "token", ["", "Bot ", "x.y.z", "{a_token}x", "{b_token}", None, 5, ["{a_token}"], {"a": 1}, "a" * 60_000]
)
async def test_a_wrong_token_is_closed_with_4004(arena, token):
    if token == "{b_token}":  # another's short id with one's own secret
        own, others = arena.token.split("."), arena.victims_token.split(".")
        token = f"{own[0]}.{others[1]}.{own[2]}"
    elif isinstance(token, str):
        token = token.format(**arena.names)
    async with connected_to(arena) as socket:
        await socket.send_json(identify(token))
        assert await close_code(socket) == 4004


@pytest.mark.parametrize("session", ["{b_session}", "", "../{b_session}", "*", None, 7, ["{b_session}"], "x" * 5000])
async def test_anothers_session_cannot_be_resumed(arena, session):
    session = session.format(**arena.names) if isinstance(session, str) else session
    async with connected_to(arena) as socket:
        await socket.send_json({"op": 6, "d": {"token": arena.token, "session_id": session, "seq": 1}})
        answers = [await socket.receive_json(timeout=5) for _ in range(2)]
        assert answers[1]["op"] == 9
        assert answers[1]["d"] is False


@pytest.mark.parametrize("sequence", [-1, 0, 1 << 70, 1.5, "1", None, True])
async def test_a_session_of_ones_own_is_resumed_from_no_odd_place(arena, sequence):
    async with connected_to(arena) as socket:
        await socket.send_json(identify(arena.token))
        ready = await until_event(socket, "READY")
    async with connected_to(arena) as socket:
        await socket.send_json(
            {"op": 6, "d": {"token": arena.token, "session_id": ready["session_id"], "seq": sequence}}
        )
        assert (await socket.receive_json(timeout=5))["op"] == 10
        assert (await socket.receive_json(timeout=5))["op"] == 9


GARBAGE = {
    "no JSON": ("{", 4002),
    "a list": ("[]", 4002),
    "no operation": ("{}", 4002),
    "an operation in text": ('{"op":"2"}', 4002),
    "an operation that is a truth value": ('{"op":true}', 4002),
    "an unknown operation": ('{"op":99}', 4001),
    "an operation of the server's": ('{"op":0,"t":"READY","d":{}}', 4001),
    "depth": ("[" * 20_000, 4002),
    "half a surrogate": ('{"op":1,"d":"\\ud800"}', None),
    "no bytes of text": (b"\xff\xfe", 4002),
    "identify without data": ('{"op":2}', 4002),
    "identify with a list": ('{"op":2,"d":[]}', 4002),
    "resume with text": ('{"op":6,"d":"x"}', 4002),
    "members before login": ('{"op":8,"d":{"guild_id":"{b_guild}","query":"","limit":0}}', 4003),
    "presence before login": ('{"op":3,"d":{}}', 4003),
    "voice before login": ('{"op":4,"d":{"guild_id":"{b_guild}"}}', 4003),
    "a frame that is too large": ('{"op":1,"d":"' + "x" * 70_000 + '"}', 1009),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_ends_the_connection_that_sent_it(arena, name):
    sent, code = GARBAGE[name]
    async with connected_to(arena) as socket:
        await (socket.send_bytes(sent) if isinstance(sent, bytes) else socket.send_str(sent))
        if code is None:
            assert (await socket.receive_json(timeout=5))["op"] == 10
        else:
            assert await close_code(socket) == code


AFTERWARDS = {
    "a second login": ({"op": 2, "d": {"token": "{a_token}", "intents": 1}}, 4005),
    "a login as somebody else": ({"op": 2, "d": {"token": "{b_token}", "intents": 1}}, 4005),
    "another's session": ({"op": 6, "d": {"token": "{b_token}", "session_id": "{b_session}", "seq": 1}}, 4005),
    "members of another's server": ({"op": 8, "d": {"guild_id": "{b_guild}", "query": "", "limit": 0}}, None),
    "members of both": ({"op": 8, "d": {"guild_id": ["{a_guild}", "{b_guild}"], "query": "", "limit": 0}}, None),
    "a member of another's server": ({"op": 8, "d": {"guild_id": "{b_guild}", "user_ids": ["{b_user}"]}}, None),
    "members with odd values": ({"op": 8, "d": {"guild_id": {"a": 1}, "query": 5, "limit": "x", "user_ids": {}}}, None),
    "another's voice channel": ({"op": 4, "d": {"guild_id": "{b_guild}", "channel_id": "{b_channel}"}}, None),
    "a presence": ({"op": 3, "d": {"status": "invisible", "activities": [], "since": 0, "afk": False}}, None),
    "sounds of another's server": ({"op": 31, "d": {"guild_ids": ["{b_guild}"]}}, 4001),
}  # fmt: skip


@pytest.mark.parametrize("name", AFTERWARDS)
async def test_who_is_logged_in_asks_for_his_own_alone(arena, name):
    message, code = AFTERWARDS[name]
    text = json.dumps(message)
    for key, value in arena.names.items():
        text = text.replace("{" + key + "}", str(value))
    async with connected_to(arena) as socket:
        await socket.send_json(identify(arena.token))
        await until_event(socket, "GUILD_CREATE")
        await socket.send_str(text)
        if code is not None:
            assert await close_code(socket) == code
            return
        await socket.send_json({"op": 1, "d": None})
        with suppress(TimeoutError):  # an odd request may be worth a close, too
            while (message := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
                if json.loads(message.data)["op"] == 11:
                    break


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"intents": -1}, 4013),
        ({"intents": 1 << 60}, 4013),
        ({"intents": "1"}, 4013),
        ({"intents": None}, 4013),
        ({"shard": [1, 1]}, 4010),
        ({"shard": [-1, 1]}, 4010),
        ({"shard": [0, 0]}, 4010),
        ({"shard": "0,1"}, 4010),
        ({"shard": [0, 1, 2]}, 4010),
    ],
)
async def test_an_odd_login_is_refused_with_discords_code(arena, changes, code):
    async with connected_to(arena) as socket:
        await socket.send_json(identify(arena.token, **changes))
        assert await close_code(socket) == code


@pytest.mark.parametrize(
    "query", ["?v=6", "?encoding=etf", "?compress=gzip", "?compress=zlib-stream&compress=x", "?v=10&v=1"]
)
async def test_an_odd_address_of_the_gateway_is_refused_or_read_in_one_way(arena, query):
    async with connected_to(arena, query) as socket:
        with suppress(TimeoutError):
            await socket.receive(timeout=1)


async def test_a_flood_of_logins_costs_discord_what_a_few_cost(arena, monkeypatch):
    monkeypatch.setattr("bot.constants.RELAY_IDENTIFY_EVERY_S", 0.5)
    monkeypatch.setattr("bot.constants.RELAY_IDENTIFY_WITHIN_S", 2.0)
    asked = len(arena.discord.requests)

    async def log_in():
        async with connected_to(arena) as socket:
            await socket.send_json(identify(arena.token))
            with suppress(TypeError, TimeoutError):
                await until_event(socket, "READY")
                return None
            return socket.close_code

    codes = await asyncio.gather(*(log_in() for _ in range(15)))
    assert codes.count(4008) + codes.count(4000) >= 10
    assert sum(path == f"/guilds/{arena.lab.id}" for _, path, _ in arena.discord.requests[asked:]) <= 4
    assert (await arena.ask("GET", f"/guilds/{arena.arcade.id}/bans", arena.victims_token))[0] == 200


async def test_who_never_logs_in_is_closed(arena, monkeypatch):
    monkeypatch.setattr("bot.constants.RELAY_IDENTIFY_WITHIN_S", 0.2)
    async with connected_to(arena) as socket:
        assert await close_code(socket) == 4003


async def test_who_says_too_much_is_closed_with_4008(arena):
    async with connected_to(arena) as socket:
        for _ in range(130):
            with suppress(ConnectionError):
                await socket.send_json({"op": 1, "d": None})
        assert await close_code(socket) == 4008


def frame(payload, first=0x81, mask=b"\0\0\0\0"):
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    if size > 0xFFFF:
        length = b"\xff" + struct.pack("!Q", size)
    return bytes([first]) + length + mask + payload


def unmasked(payload):
    return bytes([0x81, len(payload)]) + payload


_BOMB = zlib.compress(b"a" * (1 << 20), 9)
FRAMES = {
    "compressed without having agreed": frame(_BOMB, 0xC1),
    "reserved bits": frame(b'{"op":1}', 0xB1),
    "an unknown kind": frame(b"x", 0x83),
    "no mask": unmasked(b'{"op":1}'),
    "a ping that is too long": frame(b"x" * 200, 0x89),
    "a close code that is none": frame(struct.pack("!H", 1005), 0x88),
    "a continuation of nothing": frame(b"x", 0x80),
    "an announced length of 2^62": b"\x81\xff" + struct.pack("!Q", 1 << 62) + b"\0\0\0\0x",
    "fragments without an end": b"".join(
        [frame(b"x" * 60_000, 0x01), *(frame(b"x" * 60_000, 0x00) for _ in range(20))]
    ),
    "a request of HTTP": b"GET /api/v10/guilds HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", FRAMES)
async def test_an_odd_frame_ends_its_own_connection(arena, name):
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /?v=10 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    told = await arena.raw(head.encode() + FRAMES[name])
    assert told.startswith(b"HTTP/1.1 101")
    assert b"permessage-deflate" not in told


async def test_a_client_that_does_not_read_is_closed_and_holds_up_nobody(arena, monkeypatch):
    monkeypatch.setattr("bot.constants.RELAY_READS_WITHIN_S", 0.3)
    monkeypatch.setattr("bot.constants.RELAY_UNSENT_BYTES", 10_000)
    (sandbox,) = [each for each in await arena.app.manager.list() if each.name == "attacker"]
    jetstream = arena.app.stores.nats.jetstream()
    data = {"guild_id": str(arena.lab.id), "channel_id": str(arena.lab.general.id), "content": "x" * 60_000}
    event = json.dumps({"op": 0, "t": "MESSAGE_CREATE", "s": 1, "d": data}).encode()
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{arena.relay.address}/?v=10", max_msg_size=0)
        await socket.send_json(identify(arena.token))
        await until_event(socket, "GUILD_CREATE")
        (client,) = [each for each in arena.relay.gateway.clients if each.tenant.sandbox_id == sandbox.id]
        socket._response.connection.transport.pause_reading()
        for _ in range(250):
            await jetstream.publish(f"{sandbox.nats_prefix}events.MESSAGE_CREATE", event)
        await until(client.gone.is_set, 15)
        heard = len(arena.heard)
        await arena.bob.send(arena.arcade.general, "still here")
        await until(lambda: any(each.get("t") == "MESSAGE_CREATE" for each in arena.heard[heard:]))
        arena.arcade.general.messages.popitem()
        await session.close()
