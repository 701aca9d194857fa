"""What no Discord should send, and what is rare: each is handled and counted, and the bot goes on."""

import json

import pytest

from sandbox_worker.protocol import TOO_LARGE_HEADER
from tests.e2e.conftest import text as text_of


@pytest.fixture
async def bound(scene):
    """Ada's server bound to `blue`."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    return scene


def connection(scene):
    (session,) = scene.discord.gateway.live()
    return session.connection


async def goes_on(scene, message="still here"):
    """A message after all that has arrived, and a command is answered."""
    await scene.ada.send(scene.lab.general, message)

    async def has_come():
        blue = await scene.sandbox("blue")
        stored = await scene.stored(blue)
        return any(message.encode() in payload for _, payload, _ in stored)

    await scene.until(has_come)
    reply = await scene.ada.command("sandbox list", channel=scene.lab.general)
    assert reply.message is not None


MALFORMED = (
    "",
    "{",
    "nonsense",
    "[]",
    '"text"',
    '{"op":"0"}',
    '{"op":0,"t":null,"s":null,"d":null}',
    '{"op":0,"t":"TYPING_START","s":null,"d":{}}',
    '{"op":0,"t":"GUILD_CREATE","s":7,"d":{"id":"x"}}',
    '{"op":0,"t":"GUILD_ROLE_UPDATE","s":7,"d":[]}',
    '{"op":0,"t":"INTERACTION_CREATE","s":7,"d":{"id":"1","type":2,"guild_id":"2",'
    '"data":{"type":1,"id":"9999999999999999999","name":"sandbox"}}}',
    '{"op":0,"t":"MESSAGE_CREATE","s":7,"d":{}}',
    '{"op":10,"d":null}',
    '{"op":0,"t":"X","s":7,"d":' + "[" * 50_000 + "]" * 50_000 + "}",
)


async def test_what_is_malformed_is_counted_and_passed_over(bound):
    for text in MALFORMED:
        before = bound.app.router.counts["malformed"]
        connection(bound).send(text)
        await goes_on(bound, f"after {MALFORMED.index(text)}")
        assert bound.app.router.counts["malformed"] == before + 1, text[:80]
    connection(bound).send('{"op":0,"t":"TYPING_START","s":null,"d":{}}')
    await bound.discord.hang_up()
    await goes_on(bound, "after all")
    assert (bound.discord.identifies, bound.discord.resumes) == (1, 1)


async def test_an_event_that_nobody_knows_is_routed_like_the_others(bound):
    data = {"guild_id": str(bound.lab.id), "id": str(bound.arcade.id), "new": True}
    text = await bound.discord.dispatch("GUILD_TELEPORTED", data, guild_id=bound.lab.id)
    await goes_on(bound)
    stored = await bound.stored(await bound.sandbox("blue"))
    assert [payload.decode() for subject, payload, _ in stored if subject.endswith("TELEPORTED")] == [text]


HALF = r"half \ud83d of it, and a whole one: \ud83d\ude00, and none: \\ud83d"


async def test_half_an_emoji_is_forwarded_as_it_came(bound):
    data = {"guild_id": str(bound.lab.id), "channel_id": str(bound.lab.general.id), "id": "5", "content": "CONTENT"}
    (session,) = bound.discord.gateway.live()
    text = json.dumps({"t": "MESSAGE_CREATE", "s": session.sequence + 1, "op": 0, "d": data}).replace("CONTENT", HALF)
    session.sequence += 1
    session.connection.send(text)
    await goes_on(bound)
    stored = await bound.stored(await bound.sandbox("blue"))
    assert text in [payload.decode() for subject, payload, _ in stored if subject.endswith("MESSAGE_CREATE")]
    assert bound.app.router.counts["malformed"] == 0


async def test_nor_does_it_stop_a_command_be_it_a_workers_or_the_bots_own(bound, monkeypatch):
    monkeypatch.setattr("bot.constants.DESERTED_AFTER_S", 0.05)
    monkeypatch.setattr("bot.constants.DESERTED_LOOKS_APART_S", 0.05)
    bound.ada.name = "ada\ud83d"
    reply = await bound.ada.command("sandbox create", channel=bound.lab.general, name="gr\ud83dn")
    assert "SANDBOX_008" in text_of(reply)
    foreign = await bound.ada.use_foreign_command("play", channel=bound.lab.general)
    await bound.until(lambda: is_answered(foreign))
    assert "No worker or bot is connected" in text_of(foreign)
    bound.lab.rename("L\ud83db")
    await goes_on(bound)
    assert bound.app.router.counts["malformed"] == 0


async def is_answered(reply):
    return reply.message


async def test_a_server_of_3_megabytes_is_announced_by_a_stub(bound):
    data = bound.lab.create_payload() | {"padding": "x" * 3_000_000, "unavailable": False}
    text = await bound.discord.dispatch("GUILD_CREATE", data, guild_id=bound.lab.id)
    await goes_on(bound)
    stored = await bound.stored(await bound.sandbox("blue"))
    ((payload, headers),) = [(payload, headers) for subject, payload, headers in stored if "GUILD_CREATE" in subject]
    assert headers[TOO_LARGE_HEADER] == str(len(text))
    assert json.loads(payload)["d"]["guild_id"] == str(bound.lab.id)
    assert bound.app.router.counts["too large"] == 1


async def test_a_server_bound_to_two_sandboxes_in_quick_succession_belongs_to_the_last(bound):
    await bound.ada.command("sandbox create", channel=bound.lab.general, name="green")
    for number in range(3):
        for name in ("green", "blue"):
            await bound.ada.command("sandbox unbind-guild", channel=bound.lab.general)
            await bound.ada.command("sandbox bind-guild", channel=bound.lab.general, sandbox=name)
            await bound.ada.send(bound.lab.general, f"{name} {number}")
    await bound.app.publisher.drain(5)
    for name in ("green", "blue"):
        stored = await bound.stored(await bound.sandbox(name))
        said = [json.loads(payload)["d"]["content"] for subject, payload, _ in stored if subject.endswith("CREATE")]
        assert said == [f"{name} {number}" for number in range(3)]


async def test_a_broken_compression_stream_is_left_and_the_session_goes_on(bound):
    await connection(bound)._socket.send_bytes(b"no compressed data \x00\x00\xff\xff")
    await bound.discord.wait_until_gone()
    await goes_on(bound)
    assert (bound.discord.identifies, bound.discord.resumes) == (1, 1)


async def test_what_was_compressed_on_the_way_is_stored_byte_for_byte(discord, open_scene):
    discord.settings.compresses = True
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        for number in range(20):
            await scene.ada.send(scene.lab.general, f"“ünïcode” 👋 {number} " + "x" * 1000)
        await goes_on(scene)
        stored = await scene.stored(await scene.sandbox("blue"))
        sent = [record.text for record in discord.dispatched if record.event == "MESSAGE_CREATE" and record.guild_id]
        messages = [payload.decode() for subject, payload, _ in stored if subject.endswith("MESSAGE_CREATE")]
        assert messages == [text for text in sent if "interaction_metadata" not in text]
