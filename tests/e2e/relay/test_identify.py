"""New sessions: what a bot is told first is true, and what it has missed while it was away comes once."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from bot import constants, names
from bot.sandboxes.model import Actor
from tests.e2e.relay.raw_bot import DEFAULT_INTENTS, RawBot

pytestmark = pytest.mark.long

GUILDS, MESSAGE_CONTENT = 1 << 0, 1 << 15


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Nobody waits for his turn to identify."""
    monkeypatch.setattr(constants, "RELAY_IDENTIFY_EVERY_S", 0.0)


@pytest.fixture
async def sandbox(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])


@pytest.fixture
async def environment(relayed, sandbox):
    return await relayed.environment(sandbox)


@pytest.fixture
async def start(environment):
    started = []

    async def start_(**options):
        started.append(bot := await RawBot(environment, **options).__aenter__())
        return await bot.identify()

    yield start_
    for bot in started:
        await bot.__aexit__()


async def emit(scene, name, data, guild=None):
    guild = guild or scene.lab
    await scene.discord.dispatch(name, {"guild_id": str(guild.id), **data}, guild_id=guild.id)


async def send(scene, *numbers):
    for number in numbers:
        await emit(scene, "MESSAGE_CREATE", {"content": "", "number": number})


async def stored(scene, sandbox, events):
    async def are_there():
        return (await scene.jetstream.stream_info(sandbox.stream)).state.last_seq >= events

    await scene.until(are_there)


async def put(scene, sandbox, name, message):
    """Into the stream, as the bot writes what Discord doesn't send that way."""
    await scene.jetstream.publish(names.event_subject_prefix(sandbox.id) + name, json.dumps(message).encode())


def view_of(bot):
    """The guilds as a library knows them after all that it was told: name and channels."""
    view = {}
    for _, name, data in bot.told:
        if name == "GUILD_CREATE":
            view[data["id"]] = [data["name"], {channel["id"]: channel["name"] for channel in data["channels"]}]
        elif name == "GUILD_UPDATE":
            view[data["id"]][0] = data["name"]
        elif name == "GUILD_DELETE":
            view.pop(data["id"], None)
        elif name in ("CHANNEL_CREATE", "CHANNEL_UPDATE"):
            view[data["guild_id"]][1][data["id"]] = data["name"]
        elif name == "CHANNEL_DELETE":
            view[data["guild_id"]][1].pop(data["id"], None)
    return view


def truth_of(guild):
    return [guild.name, {str(channel.id): channel.name for channel in guild.channels.values()}]


@pytest.mark.timeout(60)  # fifty bots begin while two servers change
async def test_fifty_of_fifty_bots_that_begin_while_everything_changes_end_with_the_truth(
    scene, relayed, sandbox, start
):
    chance, enough = random.Random(7), asyncio.Event()
    bob = Actor(scene.bob.id, "bob", True)

    async def change():
        while not enough.is_set():
            guild = chance.choice([scene.lab, scene.arcade])
            extra = [channel for channel in guild.channels.values() if channel is not guild.general]
            if extra and chance.random() < 0.4:
                guild.remove_channel(chance.choice(extra))
            elif chance.random() < 0.2:
                guild.rename(f"{guild.name[:10]} {chance.randrange(1000)}")
            else:
                guild.add_channel(f"channel-{chance.randrange(1000)}")
            await asyncio.sleep(0.005)

    async def rebind():
        while not enough.is_set():
            await scene.app.manager.register_guild(bob, sandbox.id, scene.arcade.id)
            await asyncio.sleep(0.4)
            await scene.app.manager.unregister_guild(bob, scene.arcade.id)
            await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(change()), asyncio.create_task(rebind())]
    relayed.relay.gateway.most_clients = 50
    bots = []
    for _ in range(10):
        bots += await asyncio.gather(*(start() for _ in range(5)))
        await asyncio.sleep(0.1)
    enough.set()
    await asyncio.gather(*tasks)
    await scene.app.manager.register_guild(bob, sandbox.id, scene.arcade.id)
    await scene.discord.dispatch(
        "MESSAGE_CREATE", {"guild_id": str(scene.arcade.id), "number": 1}, guild_id=scene.arcade.id
    )
    truth = {str(guild.id): truth_of(guild) for guild in (scene.lab, scene.arcade)}
    for bot in bots:
        await bot.until(lambda bot=bot: bot.numbers == [1], 20)

    async def all_right():
        return all(view_of(bot) == truth for bot in bots)

    await scene.until(all_right)  # that a server was bound anew is seen within a second


async def test_what_came_while_no_bot_was_there_comes_once(scene, start, sandbox):
    bot = await start()
    await send(scene, 1, 2)
    await bot.until(lambda: bot.numbers == [1, 2])
    await bot.cut()
    await send(scene, 3)
    await emit(scene, "TYPING_START", {})
    scene.lab.add_channel("new")
    await send(scene, 4)
    await stored(scene, sandbox, 6)
    again = await start()
    await send(scene, 5)
    await again.until(lambda: 5 in again.numbers)
    assert again.numbers == [3, 4, 5]
    assert {told.name for told in again.told} == {"READY", "GUILD_CREATE", "MESSAGE_CREATE"}
    assert "new" in [channel["name"] for channel in again.told[1].data["channels"]]
    third = await start()  # while another one is there
    await send(scene, 6)
    await third.until(lambda: third.numbers == [6])


async def test_a_bot_that_begins_anew_at_once_hears_nothing_twice(scene, start):
    bot = await start()
    await send(scene, 1, 2)
    await bot.until(lambda: bot.numbers == [1, 2])
    await bot.cut()
    again = await start()
    await send(scene, 3)
    await again.until(lambda: 3 in again.numbers)
    assert again.numbers == [3]


async def test_what_a_killed_bot_had_not_been_given_comes_to_the_next(scene, start, relayed, monkeypatch):
    monkeypatch.setattr(constants, "RELAY_UNSENT_BYTES", 64 << 20)
    bot = await start()
    bot.transport.pause_reading()
    for number in range(300):
        await emit(scene, "MESSAGE_CREATE", {"content": "x" * 60_000, "number": number})
    (client,) = relayed.relay.gateway.clients
    async with asyncio.timeout(10):
        while client.sequence < 300:
            await asyncio.sleep(0.01)
    unsent = client._connection.unsent_bytes
    assert unsent > 1 << 20
    await bot.cut()
    again = await start()
    await again.until(lambda: 299 in again.numbers)
    assert again.numbers == list(range(again.numbers[0], 300))
    assert len(again.numbers) >= unsent // 60_500


async def test_catching_up_can_be_switched_off(scene, start, relayed, sandbox):
    relayed.relay.gateway.handshake._catch_up_s = 0
    bot = await start()
    await bot.cut()
    await send(scene, 1)
    await stored(scene, sandbox, 1)
    again = await start()
    await send(scene, 2)
    await again.until(lambda: again.numbers == [2])


async def test_a_resume_while_catching_up_goes_on_with_it(scene, start, sandbox):
    bot = await start()
    await bot.cut()
    await send(scene, 1, 2, 3)
    await stored(scene, sandbox, 3)
    again = await start()
    await again.until(lambda: again.numbers == [1, 2, 3])
    await again.cut()
    again.sequence -= 2
    await again.resume()
    await again.until(lambda: again.numbers == [1, 2, 3, 2, 3])


@pytest.mark.parametrize("compress", ["zlib-stream", "zstd-stream"])
async def test_a_compressed_connection_hears_the_same(scene, start, compress):
    bot = await start(compress=compress)
    await send(scene, *range(20))
    await bot.until(lambda: bot.numbers == list(range(20)))
    await bot.cut()
    await send(scene, 20)
    await bot.resume()
    await bot.until(lambda: bot.numbers == list(range(21)))


async def test_shards_share_the_guilds_and_each_resumes(scene, start, sandbox, relayed):
    await scene.app.manager.register_guild(Actor(scene.bob.id, "bob", True), sandbox.id, scene.arcade.id)
    of_lab = (scene.lab.id >> 22) % 2
    bots = [await start(shard=[number, 2]) for number in (0, 1)]
    for number, guild in ((1, scene.lab), (2, scene.arcade)):
        await scene.discord.dispatch("MESSAGE_CREATE", {"guild_id": str(guild.id), "number": number}, guild_id=guild.id)
    shard_of = {1: of_lab, 2: (scene.arcade.id >> 22) % 2}
    for number, bot in enumerate(bots):
        wanted = [each for each, shard in shard_of.items() if shard == number]
        await bot.until(lambda bot=bot, wanted=wanted: bot.numbers == wanted)
        await bot.cut()
        await bot.resume()
        assert bot.operations == [10]


async def test_a_bot_without_the_intent_for_content_hears_whom_it_concerns(scene, start):
    bot = await start(intents=DEFAULT_INTENTS & ~MESSAGE_CONTENT)
    text = {"content": "secret", "embeds": [{"title": "secret"}], "author": {"id": "1"}, "poll": {"question": "secret"}}
    own = {"author": {"id": str(scene.discord.bot_user.id)}, "content": "mine"}
    await emit(scene, "MESSAGE_CREATE", {"number": 1, **text})
    await emit(scene, "MESSAGE_CREATE", {"number": 2, **text, "mentions": [own["author"]]})
    await emit(scene, "MESSAGE_CREATE", {"number": 3, **own, "referenced_message": text})
    await emit(scene, "MESSAGE_UPDATE", {"number": 4, "content": "", "message_snapshots": [{"message": text}]})
    await bot.until(lambda: bot.numbers == [1, 2, 3, 4])
    assert ["secret" in json.dumps(told.data) for told in bot.told[-4:]] == [False, True, False, False]
    assert bot.contents == ["", "secret", "mine"]


async def test_a_bot_without_the_intent_for_servers_hears_only_what_it_has_asked_for(scene, start, sandbox):
    bot = await start(intents=1 << 9)
    await scene.app.manager.register_guild(Actor(scene.bob.id, "bob", True), sandbox.id, scene.arcade.id)
    scene.lab.add_channel("new")
    await emit(scene, "MESSAGE_CREATE", {"number": 1}, scene.arcade)
    await bot.until(lambda: bot.numbers == [1])
    assert [told.name for told in bot.told] == ["READY", "MESSAGE_CREATE"]
    assert bot.told[0].data["guilds"] == []


async def test_a_server_that_was_too_large_for_an_event_is_asked_for(scene, start, sandbox):
    bot = await start()
    identity = {"guild_id": str(scene.lab.id), "id": str(scene.lab.id)}
    for name in ("GUILD_CREATE", "GUILD_EMOJIS_UPDATE", "MESSAGE_CREATE"):
        await put(scene, sandbox, name, {"op": 0, "t": name, "s": 5, "d": identity, "too_large": {"bytes": 1 << 21}})
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    assert [told.name for told in bot.told] == ["READY", *["GUILD_CREATE"] * 3, "MESSAGE_CREATE"]
    assert all(told.data["name"] == "Ada's Lab" for told in bot.told if told.name == "GUILD_CREATE")


@pytest.mark.parametrize("data", [{"type": 2, "data": {"id": "no number"}}, None, [1], "text"])
async def test_an_event_that_cannot_be_read_holds_nothing_up(scene, start, sandbox, data):
    bot = await start()
    if isinstance(data, dict):
        data = data | {"guild_id": str(scene.lab.id), "token": "t"}
    await put(scene, sandbox, "INTERACTION_CREATE", {"t": "INTERACTION_CREATE", "s": 1, "op": 0, "d": data})
    await scene.jetstream.publish(names.event_subject_prefix(sandbox.id) + "MESSAGE_CREATE", b"no JSON")
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    assert bot.closed_with is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"intents": "all"}, 4013),
        ({"intents": 1 << 40}, 4013),
        ({"intents": -1}, 4013),
        ({"intents": 1 << 8}, 4014),
        ({"shard": [2, 2]}, 4010),
        ({"shard": "0"}, 4010),
        ({"token": "wrong"}, 4004),
        ({"token": None}, 4004),
    ],
)
async def test_an_identify_that_discord_would_not_take_is_closed_with_its_code(relayed, environment, changes, code):
    async with RawBot(environment) as bot:
        await bot.connect()
        await bot.say(2, {"token": bot.token, "intents": 1, "properties": [], **changes})
        assert await bot.is_closed() == code


@pytest.mark.parametrize(("op", "code"), [(2, 4005), (6, 4005), (99, 4001), ("text", 4002)])
async def test_what_a_connected_bot_may_not_say_is_closed_with_its_code(start, op, code):
    bot = await start()
    await bot.say(op, {"token": bot.token, "intents": 1})
    assert await bot.is_closed() == code


async def test_a_connection_whose_resume_was_refused_has_to_identify_in_time(environment, monkeypatch):
    monkeypatch.setattr(constants, "RELAY_IDENTIFY_WITHIN_S", 0.3)
    async with RawBot(environment) as bot:
        await bot.resume()
        assert bot.operations[-1] == 9
        assert await bot.is_closed(2) == 4003


async def test_a_rotated_token_closes_the_connection_with_4004(scene, start, relayed, sandbox):
    bot = await start()
    await relayed.environment(sandbox)
    assert await bot.is_closed(2.5) == 4004
