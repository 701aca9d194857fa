"""Discord's limits are the whole application's: no sandbox takes another's share, and libraries are told of them."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot import constants
from bot.relay.upstream import DiscordAway
from bot.stores.postgres import connected

HTML = "<html>error code: 1015</html>"


def path_of(channel):
    return f"/channels/{channel.id}/messages"


async def test_the_headers_by_which_libraries_pace_themselves_are_discords(scene, adas):
    await adas("GET", path_of(scene.lab.general))
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Bucket"} <= set(adas.headers)
    scene.discord.refuse_next(
        "/messages",
        429,
        {"message": "You are being rate limited.", "retry_after": 0.3, "global": False},
        headers={"retry-after": "1", "via": "1.1 google", "x-ratelimit-scope": "user", "set-cookie": "a=b"},
    )
    told = await adas("GET", path_of(scene.lab.general), status=429)
    assert told["retry_after"] == 0.3
    assert (adas.headers["Retry-After"], adas.headers["Via"]) == ("1", "1.1 google")
    assert adas.headers["X-RateLimit-Scope"] == "user"
    assert "Set-Cookie" not in adas.headers


@pytest.mark.long
async def test_a_sandbox_that_floods_slows_down_itself_alone(scene, relayed, adas, bobs):
    """Two seconds of a flood: what it takes to have everybody wait for his turn."""
    flood = [asyncio.create_task(adas("GET", path_of(scene.lab.general))) for _ in range(120)]
    await scene.until(lambda: _is_long(relayed))
    begun = time.monotonic()
    for _ in range(5):
        await bobs("GET", path_of(scene.arcade.general))
    took = time.monotonic() - begun
    waiting = sum(not task.done() for task in flood)
    for task in flood:
        task.cancel()
    await asyncio.wait(flood)
    assert waiting > 30
    assert took < 1.5  # five times every other turn of forty a second is 0.25 s


async def test_who_has_too_many_waiting_is_told_when_to_come_again(scene, relayed, adas, bobs, monkeypatch):
    await adas("GET", path_of(scene.lab.general))
    monkeypatch.setattr(constants, "RELAY_REQUESTS_WAITING", 2)
    _queue(relayed).pause(0.5)
    waiting = [asyncio.create_task(adas("GET", path_of(scene.lab.general))) for _ in range(2)]
    await scene.until(lambda: _is_long(relayed, 2))
    told = await adas("GET", path_of(scene.lab.general), status=429)
    assert told["retry_after"] > 0
    assert {"Retry-After", "Via", "X-RateLimit-Scope"} <= set(adas.headers)
    await bobs("GET", path_of(scene.arcade.general))
    await asyncio.gather(*waiting)


async def test_discords_global_limit_holds_all(scene, relayed, adas, bobs):
    for call, guild in ((adas, scene.lab), (bobs, scene.arcade)):
        await call("GET", path_of(guild.general))
    headers = {"Retry-After": "0.4", "X-RateLimit-Global": "true", "Via": "1.1 google"}
    scene.discord.refuse_next(
        "/messages", 429, {"message": "slow", "retry_after": 0.4, "global": True}, headers=headers
    )
    await adas("GET", path_of(scene.lab.general), status=429)
    asked, begun = len(scene.discord.requests), time.monotonic()
    await bobs("GET", path_of(scene.arcade.general))
    assert time.monotonic() - begun > 0.3
    assert len(scene.discord.requests) == asked + 1


async def test_a_sandbox_that_discord_refuses_too_often_is_held_back_alone(scene, adas, bobs, monkeypatch):
    monkeypatch.setattr(constants, "RELAY_INVALID_REQUESTS", 5)
    scene.discord.refuse_next("/pins", 403, {"code": 50001, "message": "Missing Access"}, times=5)
    for _ in range(5):
        await adas("GET", f"/channels/{scene.lab.general.id}/pins", status=403)
    asked = len(scene.discord.requests)
    told = await adas("GET", f"/channels/{scene.lab.general.id}/pins", status=429)
    assert told["retry_after"] > 100
    assert len(scene.discord.requests) == asked
    await bobs("GET", f"/channels/{scene.arcade.general.id}/pins")


@pytest.mark.parametrize(
    ("status", "body"), [(502, HTML), (403, HTML), (401, {"message": "401: Unauthorized", "code": 0})]
)
async def test_trouble_of_a_moment_with_what_the_relay_itself_asks_is_told_to_nobody(scene, adas, status, body):
    scene.discord.refuse_next(f"/channels/{scene.lab.general.id}", status, body, times=2)
    await adas("GET", path_of(scene.lab.general))


async def test_a_lost_connection_to_what_the_relay_itself_asks_is_told_to_nobody(scene, adas):
    for _ in range(3):  # aiohttp itself asks once more
        scene.discord.cut_next(f"/channels/{scene.lab.general.id}", taken=False)
    await adas("GET", path_of(scene.lab.general))


async def test_trouble_that_lasts_is_no_refusal(scene, adas, monkeypatch):
    monkeypatch.setattr(constants, "RELAY_ASKS_FOR_S", 0.3)
    scene.discord.refuse_next(f"/channels/{scene.lab.general.id}", 403, HTML, times=10**6)
    await adas("GET", path_of(scene.lab.general), status=503)
    scene.discord.end_refusals()
    await adas("GET", path_of(scene.lab.general))


async def test_nobody_asks_while_cloudflare_lets_the_address_ask_no_more(scene, relayed, adas, bobs):
    for call, guild in ((adas, scene.lab), (bobs, scene.arcade)):
        await call("GET", path_of(guild.general))
    scene.discord.refuse_next("/messages", 429, HTML, headers={"Retry-After": "1800", "Content-Type": "text/html"})
    await adas("GET", path_of(scene.lab.general), status=429)
    asked = len(scene.discord.requests)
    told = await bobs("GET", path_of(scene.arcade.general), status=429)
    assert 1700 < told["retry_after"] <= 1800
    with pytest.raises(DiscordAway):
        await relayed.relay.api._upstream.get("/users/@me")
    assert len(scene.discord.requests) == asked


async def test_who_waits_for_a_turn_that_will_not_come_is_told(scene, relayed, adas):
    await adas("GET", path_of(scene.lab.general))
    _queue(relayed).pause(5)
    waiting = [asyncio.create_task(adas("GET", path_of(scene.lab.general), status=429)) for _ in range(3)]
    await scene.until(lambda: _is_long(relayed, 3))
    _queue(relayed).pause(1800)
    for told in await asyncio.gather(*waiting):
        assert told["retry_after"] > 1700


async def test_no_outage_and_no_lost_token_of_the_applications_is_told_as_401(scene, adas):
    for status in (401, 502):
        scene.discord.refuse_next("/messages", status, {"message": "no", "code": 0})
        await adas("GET", path_of(scene.lab.general), status=503 if status == 401 else status)


async def test_what_a_sandboxes_bot_changes_is_counted_however_often_it_is_written_down(scene, relayed, adas):
    for _ in range(2):
        await adas("GET", path_of(scene.lab.general))
        await adas("POST", path_of(scene.lab.general), {"content": "one"})
        await adas("POST", path_of(scene.arcade.general), {"content": "two"}, status=403)
        await relayed.relay.api._usage.write()
    assert await _usage(scene) == {"POST /channels/{channel}/messages": (4, 2)}


async def _usage(scene):
    async with connected(scene.app.stores.pool) as connection:
        rows = await connection.fetch("SELECT operation, requests, refused FROM relay_usage")
    return {row["operation"]: (row["requests"], row["refused"]) for row in rows}


def _queue(relayed):
    return relayed.relay.api._upstream.queue


async def _is_long(relayed, least=60):
    return _queue(relayed).waiting() >= least
