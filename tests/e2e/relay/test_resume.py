"""Sessions go on where they were: after cut lines, in another process, and with other guilds than before."""

from __future__ import annotations

import asyncio

import pytest

from bot import constants, names
from bot.sandboxes.model import Actor
from tests.e2e.relay.raw_bot import RawBot


@pytest.fixture
async def sandbox(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])


@pytest.fixture
async def bot(relayed, sandbox):
    async with RawBot(await relayed.environment(sandbox)) as bot:
        yield await bot.identify()


async def send(scene, *numbers, guild=None):
    guild = guild or scene.lab
    for number in numbers:
        data = {"guild_id": str(guild.id), "channel_id": "1", "id": "1", "content": "", "number": number}
        await scene.discord.dispatch("MESSAGE_CREATE", data, guild_id=guild.id)


async def all_stored(scene, sandbox, events):
    async def are_there():
        return (await scene.jetstream.stream_info(sandbox.stream)).state.last_seq >= events

    await scene.until(are_there)


async def test_a_cut_line_loses_and_doubles_nothing(scene, bot, sandbox):
    await send(scene, 1, 2)
    await bot.until(lambda: bot.numbers == [1, 2])
    await bot.cut()
    await send(scene, 3, 4)
    await bot.resume()
    await send(scene, 5)
    await bot.until(lambda: bot.numbers == [1, 2, 3, 4, 5])
    assert [told.name for told in bot.told][-4:] == ["MESSAGE_CREATE", "MESSAGE_CREATE", "RESUMED", "MESSAGE_CREATE"]


async def test_a_bot_that_resumes_twice_in_a_row_is_sent_nothing_again(scene, bot):
    await send(scene, 1, 2, 3)
    await bot.until(lambda: bot.numbers == [1, 2, 3])
    for _ in range(2):
        await bot.cut()
        await bot.resume()
    await send(scene, 4)
    await bot.until(lambda: 4 in bot.numbers)
    assert bot.numbers == [1, 2, 3, 4]
    assert [told.number for told in bot.told] == sorted(told.number for told in bot.told)


async def test_an_event_that_was_not_read_comes_again(scene, bot):
    await send(scene, 1, 2, 3)
    await bot.until(lambda: bot.numbers == [1, 2, 3])
    await bot.cut()
    bot.sequence -= 2
    await bot.resume()
    await bot.until(lambda: bot.numbers == [1, 2, 3, 2, 3])


@pytest.mark.parametrize(("session_id", "behind"), [("unknown", 0), (None, 1000), (None, -1000), (None, "text")])
async def test_a_session_that_cannot_go_on_is_refused_on_an_open_connection(bot, session_id, behind):
    await bot.cut()
    bot.session_id = session_id or bot.session_id
    bot.sequence = behind if isinstance(behind, str) else bot.sequence - behind
    await bot.resume()
    assert bot.operations[-1] == 9
    before = bot.count("READY")
    await bot.say_identify()
    await bot.until(lambda: bot.count("READY") == before + 1)


async def test_a_session_of_another_sandbox_is_not_resumed(scene, relayed, bot):
    other = await scene.app.manager.create(Actor(scene.bob.id, "bob"), name="bobs", guild_ids=[scene.arcade.id])
    async with RawBot(await relayed.environment(other)) as thief:
        thief.session_id, thief.sequence = bot.session_id, bot.sequence
        await thief.resume()
        assert (thief.operations[-1], thief.told) == (9, [])


async def test_a_bot_that_closes_with_1000_has_given_its_session_up(scene, bot, relayed):
    await bot._socket.close(code=1000)

    async def is_gone():
        return not relayed.relay.gateway.clients

    await scene.until(is_gone)
    await bot.resume()
    assert bot.operations[-1] == 9


async def test_the_second_connection_of_a_session_ends_the_first(scene, bot, relayed, sandbox):
    async with RawBot(await relayed.environment(sandbox)) as second:
        second.token = bot.token = (await relayed.environment(sandbox))["SANDBOX_BOT_TOKEN"]
        await bot.is_closed()  # the token was rotated
        await bot.resume()
        second.session_id, second.sequence = bot.session_id, bot.sequence
        await second.resume()
        assert await bot.is_closed() == 4000
        await send(scene, 1)
        await second.until(lambda: second.numbers == [1])
        await second.cut()
        await second.resume()
        assert second.operations[-1] == 10
        assert bot.numbers == []


async def test_a_guild_bound_while_the_line_was_cut_is_told_of_once(scene, bot, sandbox):
    await bot.cut()
    await scene.app.manager.register_guild(Actor(scene.bob.id, "bob", True), sandbox.id, scene.arcade.id)
    await send(scene, 1, guild=scene.arcade)
    await bot.resume()
    await bot.until(lambda: bot.numbers == [1])
    joined = [told.data["name"] for told in bot.told if told.name == "GUILD_CREATE"]
    assert joined == ["Ada's Lab", "Bob's Arcade"]
    assert [told.name for told in bot.told][-2:] != ["MESSAGE_CREATE", "GUILD_CREATE"]


async def test_a_guild_told_of_before_the_line_was_cut_is_told_of_again_only_if_that_may_be_lost(scene, bot, sandbox):
    await scene.app.manager.register_guild(Actor(scene.bob.id, "bob", True), sandbox.id, scene.arcade.id)
    await bot.hears("GUILD_CREATE", lambda told: told.data["name"] == "Bob's Arcade")
    await bot.cut()
    await bot.resume()  # with the number that it had before: nobody knows whether it has read it
    await bot.until(lambda: bot.count("GUILD_CREATE") == 3)
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    await bot.cut()
    await bot.resume()
    await send(scene, 2)
    await bot.until(lambda: bot.numbers == [1, 2])
    assert bot.count("GUILD_CREATE") == 3


async def test_a_lost_goodbye_to_a_guild_is_said_again(scene, bot, sandbox):
    await scene.app.manager.unregister_guild(Actor(scene.bob.id, "bob", True), scene.lab.id)
    await bot.hears("GUILD_DELETE")
    await bot.cut()
    bot.told = [told for told in bot.told if told.name != "GUILD_DELETE"]
    await bot.resume()
    await bot.hears("GUILD_DELETE")


async def test_the_first_message_after_a_bind_comes_after_its_guild(scene, bot, sandbox):
    for number in range(5):
        await scene.app.manager.register_guild(Actor(scene.bob.id, "bob", True), sandbox.id, scene.arcade.id)
        await send(scene, number, guild=scene.arcade)
        await bot.until(lambda number=number: number in bot.numbers)
        await scene.app.manager.unregister_guild(Actor(scene.bob.id, "bob", True), scene.arcade.id)
        await bot.until(lambda number=number: bot.count("GUILD_DELETE") == number + 1)
    arcade = [
        told.name for told in bot.told if str(scene.arcade.id) in (told.data.get("guild_id"), told.data.get("id"))
    ]
    assert arcade == ["GUILD_CREATE", "MESSAGE_CREATE", "GUILD_DELETE"] * 5


async def remake(scene, sandbox):
    config = (await scene.jetstream.stream_info(sandbox.stream)).config
    await scene.jetstream.delete_stream(sandbox.stream)
    await scene.jetstream.add_stream(config)


async def purge(scene, sandbox):
    await scene.jetstream.purge_stream(sandbox.stream)


async def overrun(scene, sandbox):
    config = (await scene.jetstream.stream_info(sandbox.stream)).config
    config.max_msgs = 2
    await scene.jetstream.update_stream(config)


@pytest.mark.parametrize("happens", [remake, purge, overrun])
async def test_a_stream_that_has_lost_what_comes_next_ends_in_op_9(scene, bot, sandbox, happens):
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    await bot.cut()
    await send(scene, 2, 3, 4, 5)
    await all_stored(scene, sandbox, 5)
    await happens(scene, sandbox)
    await bot.resume()
    assert (bot.operations[-1], bot.numbers) == (9, [1])


async def test_a_stream_made_again_under_a_bot_ends_its_session(scene, bot, sandbox):
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    await remake(scene, sandbox)
    await bot.until(lambda: 9 in bot.operations)
    assert await bot.is_closed() == 4000


async def test_a_stream_purged_behind_a_bot_costs_it_nothing(scene, bot, sandbox):
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    await purge(scene, sandbox)
    await bot.cut()
    await bot.resume()
    await send(scene, 2)
    await bot.until(lambda: bot.numbers == [1, 2])


async def test_sessions_that_redis_has_forgotten_are_written_down_again(scene, bot):
    key = names.relay_session_key(bot.session_id)
    await scene.app.stores.redis.delete(key)
    await scene.until(lambda: scene.app.stores.redis.exists(key))


async def relay_consumers(scene, sandbox):
    consumers = await scene.jetstream.consumers_info(sandbox.stream)
    return [consumer.name for consumer in consumers if consumer.name.startswith("relay-")]


async def has_consumer(scene, sandbox):
    return len(await relay_consumers(scene, sandbox)) == 1


async def test_a_consumer_that_nats_loses_is_made_again(scene, bot, sandbox):
    for number in (1, 2, 3):
        await scene.until(lambda: has_consumer(scene, sandbox))
        (consumer,) = await relay_consumers(scene, sandbox)
        await scene.jetstream.delete_consumer(sandbox.stream, consumer)
        await send(scene, number)
        await bot.until(lambda number=number: bot.numbers == list(range(1, number + 1)))


def lose_first_of(feed, monkeypatch):
    """The event that comes first from now on, as if it had gone to a connection that is no more."""
    take = feed.on_events

    def lose_one(events):
        monkeypatch.setattr(feed, "on_events", take)
        if events[1:]:
            take(events[1:])

    monkeypatch.setattr(feed, "on_events", lose_one)


async def test_an_event_that_was_sent_to_a_connection_of_before_is_asked_for_again(scene, bot, relayed, monkeypatch):
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    (client,) = relayed.relay.gateway.clients
    lose_first_of(client._serving._feed, monkeypatch)
    for number in (2, 3):
        await send(scene, number)
        await scene.app.publisher.drain(5)
    await bot.until(lambda: bot.numbers == [1, 2, 3])
    assert 9 not in bot.operations


async def test_an_event_that_somebody_has_deleted_ends_the_session(scene, bot, relayed, sandbox, monkeypatch):
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    (client,) = relayed.relay.gateway.clients
    lose_first_of(client._serving._feed, monkeypatch)
    await send(scene, 2)
    await all_stored(scene, sandbox, 2)
    await scene.jetstream.delete_msg(sandbox.stream, 2)
    await send(scene, 3)
    await bot.until(lambda: 9 in bot.operations)
    assert bot.numbers == [1]


async def test_a_gap_ends_the_session_and_the_next_one_begins_behind_it(scene, bot, sandbox):
    await send(scene, 1)
    await bot.until(lambda: bot.numbers == [1])
    subject = names.event_subject_prefix(sandbox.id) + "GATEWAY_GAP"
    await scene.jetstream.publish(
        subject, b'{"op":0,"t":"GATEWAY_GAP","s":null,"d":{"guild_ids":["%d"]}}' % scene.lab.id
    )
    assert await bot.is_closed() == 4000
    assert bot.operations[-1] == 9
    await bot.identify()
    await send(scene, 2)
    await bot.until(lambda: bot.numbers == [1, 2])
    assert 9 not in bot.operations


async def test_a_gap_of_other_shards_guilds_concerns_nobody(scene, relayed, sandbox):
    shard = (scene.lab.id >> 22) % 2
    other = next(number << 22 for number in range(2) if number % 2 != shard)
    async with RawBot(await relayed.environment(sandbox), shard=[shard, 2]) as bot:
        await bot.identify()
        subject = names.event_subject_prefix(sandbox.id) + "GATEWAY_GAP"
        await scene.jetstream.publish(subject, b'{"op":0,"t":"GATEWAY_GAP","s":null,"d":{"guild_ids":["%d"]}}' % other)
        await send(scene, 1)
        await bot.until(lambda: bot.numbers == [1])
        assert 9 not in bot.operations


@pytest.mark.long
async def test_a_bot_that_reads_nothing_is_closed_and_resumes_without_loss(scene, relayed, bot, monkeypatch):
    monkeypatch.setattr(constants, "RELAY_READS_WITHIN_S", 0.3)
    monkeypatch.setattr(constants, "RELAY_CLIENT_WATCHED_EVERY_S", 0.05)
    monkeypatch.setattr(constants, "RELAY_UNSENT_BYTES", 1 << 16)
    bot.transport.pause_reading()
    text = "x" * 60_000
    for number in range(200):
        data = {"guild_id": str(scene.lab.id), "content": text, "number": number}
        await scene.discord.dispatch("MESSAGE_CREATE", data, guild_id=scene.lab.id)
    (client,) = relayed.relay.gateway.clients
    async with asyncio.timeout(8):
        await client.gone.wait()
    assert client._connection.unsent_bytes == 0
    await bot.cut()
    await bot.resume()
    await bot.until(lambda: len(bot.numbers) >= 200)
    assert bot.numbers == list(range(200))


async def test_a_bot_without_heartbeats_is_closed(bot, monkeypatch):
    monkeypatch.setattr(constants, "RELAY_HEARTBEAT_INTERVAL_S", 0.1)
    monkeypatch.setattr(constants, "RELAY_CLIENT_WATCHED_EVERY_S", 0.05)
    assert await bot.is_closed() == 4000
