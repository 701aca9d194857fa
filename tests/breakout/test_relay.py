"""A sandbox's bot against the relay's HTTP API: it gets nothing of another sandbox, and the application's own token is
in no byte that goes to a client, nor in the log."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from bot.relay.http.operations import OPERATIONS
from bot.relay.http.rules import Rule
from tests.breakout.relay_arena import until, watched
from tests.breakout.relay_tries import HEADERS, PATHS, REFERENCES

_PLACES = {
    "guild": "{b_guild}",
    "channel": "{b_channel}",
    "webhook": "{b_hook}",
    "message": "{b_message}",
    "token": "{b_hook_token}",
    "user": "{b_user}",
    "emoji": "%F0%9F%91%8D",
    "overwrite": "{b_user}",
    "role": "{b_role}",
    "application": "{app}",
}
_ANY = "175928847299117063"
_REACH_ELSEWHERE = [
    each
    for each in OPERATIONS
    if {"{guild}", "{channel}", "{webhook}"} & set(re.findall(r"\{\w+\}", each.template)) or each.rule is Rule.REFUSED
]


@pytest.fixture(autouse=True)
def unharmed(arena):
    with watched(arena):
        yield


def filled(what, names):
    if isinstance(what, str):
        return what.format(**names)
    if isinstance(what, dict):
        return {key: filled(value, names) for key, value in what.items()}
    return [filled(each, names) for each in what] if isinstance(what, list) else what


@pytest.mark.parametrize("operation", _REACH_ELSEWHERE, ids=lambda each: f"{each.method} {each.template}")
async def test_no_operation_reaches_anothers(arena, operation):
    """Every operation on a server, a channel or a webhook, on those of the other sandbox."""
    path = re.sub(r"\{(\w+)\}", lambda place: _PLACES.get(place[1], _ANY), operation.template)
    body: dict | None = None if operation.method == "GET" else {}
    status, told = await arena.ask(operation.method, filled(path, arena.names), json=body)
    assert status in (400, 403), told


@pytest.mark.parametrize("name", REFERENCES)
async def test_nothing_that_a_request_names_is_anothers(arena, name):
    operation, body = REFERENCES[name]
    method, path = filled(operation, arena.names).split(" ")
    body = filled(body, arena.names)
    options = (
        {"data": body, "headers": {"Content-Type": "application/json"}} if isinstance(body, str) else {"json": body}
    )
    status, told = await arena.ask(method, path, **options)
    assert status in (400, 403, 404), told


@pytest.mark.parametrize("target", PATHS)
async def test_no_odd_path_leads_anywhere(arena, target):
    head = f"GET {filled(target, arena.names)} HTTP/1.1\r\nHost: {arena.names['host']}\r\n"
    told = await arena.raw(f"{head}Authorization: Bot {arena.token}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert re.match(rb"HTTP/1.[01] 4\d\d ", told), told[:200]


@pytest.mark.parametrize("name", HEADERS)
async def test_no_header_and_no_odd_body_opens_anything(arena, name):
    head, end, body = filled(HEADERS[name], arena.names).partition("\r\n\r\n")
    told = await arena.raw((head.replace("LENGTH", str(len(body.encode()))) + end + body).encode("latin-1"))
    assert not re.search(rb"HTTP/1.[01] [25]\d\d ", told), told[:300]


async def test_a_token_of_the_path_is_as_good_as_a_login_for_its_own_webhook_alone(arena):
    path = "/webhooks/{}/{}"
    for hook, token in (("b_hook", "a_hook_token"), ("a_hook", "b_hook_token")):
        raw = f"POST /api/v10{path.format(arena.names[hook], arena.names[token])} HTTP/1.1\r\nHost: x\r\n"
        told = await arena.raw((raw + "Connection: close\r\nContent-Length: 0\r\n\r\n").encode())
        assert told.startswith(b"HTTP/1.1 401"), told


async def test_no_token_of_a_path_stands_in_the_log(arena):
    arena.discord.refuse_next("/webhooks/", 502, "away", method="GET", times=10)
    token = "a-token-that-nobody-may-read"
    status, _ = await arena.ask("POST", f"/webhooks/{arena.names['a_hook']}/{token}", json={"content": "x"})
    assert status == 503
    assert "POST /webhooks/{webhook}/{token}" in "".join(arena.log)
    assert token not in "".join(arena.log)
    arena.discord.end_refusals()


@pytest.mark.parametrize("kind", ["JSON", "form"])
async def test_a_body_that_is_too_large_is_refused_whatever_is_said_of_its_length(arena, kind):
    async def chunks():
        if kind == "form":
            yield b'--x\r\nContent-Disposition: form-data; name="files[0]"; filename="f"\r\n\r\n'
        for _ in range(40):
            yield b"a" * (1 << 20)

    headers = {"Content-Type": "application/json" if kind == "JSON" else "multipart/form-data; boundary=x"}
    status, told = await arena.ask("POST", f"/channels/{arena.lab.general.id}/messages", data=chunks(), headers=headers)
    assert status in (400, 413), told


@pytest.mark.parametrize(
    ("name", "why"), [("a very deep body", "no JSON"), ("a deep body", "too deep"), ("very many values", "too many")]
)
async def test_what_would_cost_memory_or_stack_is_refused_by_the_relay_itself(arena, name, why):
    asked = len(arena.discord.requests)
    _, body = REFERENCES[name]
    headers = {"Content-Type": "application/json"}
    path = f"/channels/{arena.lab.general.id}/messages"
    _, told = await arena.ask("POST", path, data=filled(body, {}), headers=headers)
    assert why in told.decode()
    assert len(arena.discord.requests) == asked


async def test_who_never_ends_his_request_is_cut_off(arena, monkeypatch):
    head = f"POST /api/v10/channels/{arena.lab.general.id}/messages HTTP/1.1\r\nHost: x\r\n"
    monkeypatch.setattr("bot.constants.RELAY_BODY_WITHIN_S", 0.2)
    full = f"{head}Authorization: Bot {arena.token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    told = await arena.raw(full.encode())
    assert told.startswith(b"HTTP/1.1 408"), told


async def test_connections_on_which_nothing_comes_are_closed(arena):
    lines = [
        asyncio.create_task(arena.raw(each, 20)) for each in (b"", b"GET /api/v10/gateway HTT", b"GET / HTTP/1.1\r\nX-")
    ]
    begun = time.monotonic()
    assert await asyncio.gather(*lines) == [b"", b"", b""]
    assert time.monotonic() - begun < 10


async def test_the_bodies_of_one_sandbox_take_no_more_than_their_room(arena, monkeypatch):
    monkeypatch.setattr("bot.constants.RELAY_BODIES_BYTES", 1000)
    path = f"/channels/{arena.lab.general.id}/messages"
    head = f"POST /api/v10{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bot {arena.token}\r\n"
    begun = f"{head}Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{{"
    _, writer = await asyncio.open_connection("127.0.0.1", arena.line.port)
    writer.write(begun.encode())
    room = arena.relay.api._room
    await until(lambda: room._bytes)
    status, told = await arena.ask("POST", path, json={"content": "x" * 200})
    assert status == 429, told
    status, told = await arena.ask("GET", f"/channels/{arena.arcade.general.id}", arena.victims_token)
    assert status == 200
    arena.line.told.clear()  # what the victim asked for is its own
    writer.close()
    await until(lambda: not room._bytes)
