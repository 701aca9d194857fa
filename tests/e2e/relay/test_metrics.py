"""What the relay tells Prometheus."""

import asyncio
from types import SimpleNamespace

from bot import metrics
from bot.metric_sources.relay import RelaySource
from tests.e2e.relay.raw_bot import RawBot
from tests.scrapes import scrape

LIMITED = {"message": "You are being rate limited.", "retry_after": 3, "global": True}


async def test_clients_requests_and_the_way_to_discord_are_counted(scene, relayed, adas):
    def told():
        return scrape(RelaySource(SimpleNamespace(relay=relayed.relay)))

    messages = f"/channels/{scene.lab.general.id}/messages"
    await adas("GET", messages)
    await adas("GET", f"/channels/{scene.arcade.general.id}/messages", status=403)  # not the sandbox's
    await adas("PATCH", "/users/@me", json={}, status=403)
    scene.discord.refuse_next("/messages", 403, {"message": "Missing Access", "code": 50001})
    await adas("GET", messages, status=403)
    nobody = {"SANDBOX_BOT_TOKEN": "", "SANDBOX_BOT_GATEWAY": relayed.relay.address.replace("http", "ws", 1)}
    async with RawBot(nobody) as bot:
        await bot.connect()
        assert told()(metrics.RELAY_CLIENTS) == 1
    scene.discord.refuse_next("/messages", 429, LIMITED, headers={"retry-after": "3", "x-ratelimit-global": "true"})
    await adas("GET", messages, status=429)
    assert 0 < told()(metrics.RELAY_PAUSE) <= 3
    late = asyncio.create_task(adas("GET", messages))

    async def waits():
        return told()(metrics.RELAY_WAITING) == 1

    await scene.until(waits)
    late.cancel()
    assert_all_is_counted(told())


async def test_without_a_relay_nothing_is_told():
    assert scrape(RelaySource(SimpleNamespace(relay=None)))(metrics.RELAY_CLIENTS) is None


def assert_all_is_counted(told):
    assert told(metrics.RELAY_REQUESTS, route="guild channel", outcome="ok") == 1
    assert told(metrics.RELAY_REQUESTS, route="guild channel", outcome="refused") == 2
    assert told(metrics.RELAY_REQUESTS, route="guild channel", outcome="limited") == 1
    assert told(metrics.RELAY_REQUESTS, route="refused", outcome="refused") == 1
    assert told(metrics.RELAY_QUEUE_SECONDS, "_count") >= 3
    assert told(metrics.RELAY_ANSWERS, status="2xx") >= 1
    assert told(metrics.RELAY_ANSWERS, status="4xx") == told(metrics.RELAY_ANSWERS, status="429") == 1
    assert told(metrics.RELAY_INVALID) == 2
