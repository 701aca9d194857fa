import asyncio
import json
import time
from datetime import timedelta

import pytest

from bot.clock import elapsed
from tests.e2e.conftest import text

HOUR = timedelta(hours=1)


@pytest.fixture
async def bound(scene):
    """Ada's server bound to `blue`, Bob's to `red`."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red", bind_here=True)
    return scene


async def names_in(scene, sandbox):
    return [subject.rpartition(".")[2] for subject, _, _ in await scene.stored(sandbox)]


async def fence(scene):
    """Returns when all that was sent before has been routed: a typing of Bob's has arrived."""
    red = await scene.sandbox("red")
    before = (await names_in(scene, red)).count("TYPING_START")

    async def arrived():
        return (await names_in(scene, red)).count("TYPING_START") > before

    await scene.bob.typing(scene.arcade.general)
    await scene.until(arrived)


async def test_a_message_in_a_bound_server_is_in_its_stream_within_100_ms_byte_for_byte(bound):
    blue = await bound.sandbox("blue")
    inbox = await bound.app.stores.nats.subscribe(f"sandbox.{blue.id}.events.MESSAGE_CREATE")
    await bound.app.stores.nats.flush()
    started = time.monotonic()
    await bound.ada.send(bound.lab.general, "héllo <world> & “you” 👋")
    message = await inbox.next_msg(timeout=5)
    took = time.monotonic() - started

    sent = [record for record in bound.discord.dispatched if record.event == "MESSAGE_CREATE"][-1]
    assert message.data.decode() == sent.text
    assert took < 0.1
    stored = [entry for entry in await bound.stored(blue) if entry[0].endswith("MESSAGE_CREATE")]
    assert [entry[1].decode() for entry in stored] == [sent.text]
    assert stored[0][2]["Nats-Msg-Id"].endswith(f":0:{sent.sequence}")
    red = await bound.sandbox("red")
    assert await names_in(bound, red) == []


async def test_a_message_in_an_unbound_server_is_in_no_stream(bound):
    before = [await bound.stored(await bound.sandbox(name)) for name in ("blue", "red")]
    await bound.ada.send(bound.lobby.general, "to nobody")
    await bound.ada.send_dm("to the bot")
    await fence(bound)
    after = [await bound.stored(await bound.sandbox(name)) for name in ("blue", "red")]
    assert after[0] == before[0]
    assert {subject.rpartition(".")[2] for subject, _, _ in after[1]} == {"TYPING_START"}


async def test_a_message_in_an_unbound_server_is_on_no_subject_at_all(bound):
    seen = []

    async def note(message):
        seen.append(message.data)

    await bound.app.stores.nats.subscribe(">", cb=note)
    await bound.app.stores.nats.flush()
    await bound.ada.send(bound.lobby.general, "to nobody")
    await bound.bob.send(bound.arcade.general, "to red")
    await fence(bound)
    await bound.app.stores.nats.flush()
    assert any(b"to red" in data for data in seen)
    assert not any(b"to nobody" in data for data in seen)


async def test_a_command_takes_effect_before_it_is_answered_even_if_nobody_is_notified(open_scene):
    async with open_scene(routing={"reload_every": HOUR}) as scene:
        for table in ("sandboxes", "sandbox_guild_mapping"):
            await scene.app.stores.pool.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")

        def is_routed():
            return scene.app.table.lookup(scene.lab.id, elapsed()) is not None

        async def says(command, **options):
            return await scene.ada.command(f"sandbox {command}", channel=scene.lab.general, **options)

        await says("create", name="blue", bind_here=True)
        assert is_routed()
        await says("unbind-guild")
        assert not is_routed()
        await says("bind-guild", sandbox="blue")
        assert is_routed()
        question = (await says("destroy", sandbox="blue")).message
        pressed = await scene.ada.click(question, "Destroy")
        await pressed.wait_for(lambda _: "is destroyed" in question.embeds[0].get("title", ""), timeout=10)
        assert not is_routed()


async def test_nothing_arrives_after_an_unbind(bound):
    blue = await bound.sandbox("blue")
    await bound.ada.command("sandbox unbind-guild", channel=bound.lab.general)
    before = await bound.stored(blue)
    await bound.ada.send(bound.lab.general, "too late")
    await fence(bound)
    assert await bound.stored(blue) == before


async def test_nothing_arrives_after_the_expiry_even_before_the_reaper_has_come(open_scene):
    async with open_scene(sandboxes={"sweep_every": HOUR}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", ttl="1s", bind_here=True)
        await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red", bind_here=True)
        blue = await scene.sandbox("blue")

        async def expired():
            return await scene.app.stores.pool.fetchval(
                "SELECT expires_at <= now() FROM sandboxes WHERE id = $1", blue.id
            )

        await scene.until(expired)
        before = await scene.stored(blue)
        await scene.ada.send(scene.lab.general, "too late")
        await fence(scene)
        assert await scene.stored(blue) == before
        assert (await scene.sandbox("blue")).status == "running"

        await scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="blue", by="1h")
        await scene.ada.send(scene.lab.general, "back again")
        await fence(scene)
        assert "MESSAGE_CREATE" in await names_in(scene, blue)


async def test_a_destroyed_sandboxs_server_goes_nowhere_and_can_be_bound_again(bound):
    blue = await bound.sandbox("blue")
    await bound.app.manager.destroy(bound.app.bot.actor(await bound.app.bot.fetch_user(bound.ada.id)), blue.id)
    refused = bound.app.publisher.counts["refused"]
    await bound.ada.send(bound.lab.general, "too late")
    await fence(bound)
    assert bound.app.publisher.counts["refused"] == refused
    reply = await bound.bob.command("sandbox status", channel=bound.arcade.general, sandbox="red")
    assert "❌" not in text(reply)
    await bound.ada.command("sandbox create", channel=bound.lab.general, name="blue", bind_here=True)
    await bound.ada.send(bound.lab.general, "to the new one")
    await fence(bound)
    assert "MESSAGE_CREATE" in await names_in(bound, await bound.sandbox("blue"))


async def test_events_of_the_server_itself_are_routed(bound):
    bound.lab.rename("Ada's New Lab")
    bound.lab.set_unavailable(True)
    bound.lab.set_unavailable(False)
    await fence(bound)
    names = await names_in(bound, await bound.sandbox("blue"))
    assert [name for name in names if name.startswith("GUILD_")] == ["GUILD_UPDATE", "GUILD_DELETE", "GUILD_CREATE"]


async def test_members_and_reactions_are_routed_too(bound):
    carol = bound.discord.add_person("carol")
    bound.lab.add_member(carol)
    message = await bound.ada.send(bound.lab.general, "welcome")
    await bound.ada.react(message, "👋")
    await bound.ada.edit(message, "welcome!")
    await bound.ada.delete(message)
    await fence(bound)
    assert await names_in(bound, await bound.sandbox("blue")) == [
        "GUILD_MEMBER_ADD",
        "MESSAGE_CREATE",
        "MESSAGE_REACTION_ADD",
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE",
    ]


async def test_own_interactions_stay_here_and_foreign_ones_are_forwarded_unanswered(bound):
    blue = await bound.sandbox("blue")
    await bound.ada.command("sandbox list", channel=bound.lab.general)
    await bound.ada.autocomplete("sandbox status", channel=bound.lab.general, focused="sandbox", sandbox="b")
    question = (await bound.ada.command("sandbox destroy", channel=bound.lab.general, sandbox="blue")).message
    await bound.ada.click(question, "Keep it")
    await bound.ada.use_foreign_command("play", channel=bound.lab.general, song="x")
    await fence(bound)
    interactions = [
        payload for subject, payload, _ in await bound.stored(blue) if subject.endswith("INTERACTION_CREATE")
    ]
    assert len(interactions) == 1
    assert b'"play"' in interactions[0]


async def test_the_bot_follows_what_another_process_binds(bound, pool_of_another_process):
    green = await bound.app.manager.create(
        bound.app.bot.actor(await bound.app.bot.fetch_user(bound.ada.id)), name="green"
    )
    await pool_of_another_process.execute(
        "INSERT INTO sandbox_guild_mapping (guild_id, sandbox_id, bound_by) VALUES ($1, $2, $3)",
        bound.lobby.id,
        green.id,
        bound.ada.id,
    )

    async def routed():
        return bound.app.table.lookup(bound.lobby.id, elapsed()) is not None

    await bound.until(routed)
    await bound.ada.send(bound.lobby.general, "hello")
    await fence(bound)
    assert await names_in(bound, green) == ["MESSAGE_CREATE"]


@pytest.fixture
async def pool_of_another_process(pool):
    return pool


async def test_unbound_events_go_where_they_are_configured_to_and_the_router_never_reads_what_it_wrote(open_scene):
    async with open_scene(routing={"unbound_subject": "events"}) as scene:
        inbox = await scene.app.stores.nats.subscribe("events.>")
        await scene.app.stores.nats.flush()
        await scene.ada.send(scene.lobby.general, "to nobody")
        message = await inbox.next_msg(timeout=5)
        while message.subject == "events.GUILD_CREATE":  # from the start of the session
            message = await inbox.next_msg(timeout=5)
        assert message.subject == "events.MESSAGE_CREATE"
        with pytest.raises(asyncio.TimeoutError):
            await inbox.next_msg(timeout=0.3)


async def test_a_resumed_session_loses_and_doubles_nothing(bound):
    blue = await bound.sandbox("blue")
    for number in range(20):
        await bound.ada.send(bound.lab.general, f"message {number}")
        if number == 10:
            await bound.discord.hang_up()
    await bound.until(lambda: _count_is(bound, blue, 20))
    await fence(bound)
    payloads = [payload for subject, payload, _ in await bound.stored(blue) if subject.endswith("MESSAGE_CREATE")]
    assert [json.loads(payload)["d"]["content"] for payload in payloads] == [
        f"message {number}" for number in range(20)
    ]
    assert bound.discord.resumes == 1


async def _count_is(scene, sandbox, count):
    return (await names_in(scene, sandbox)).count("MESSAGE_CREATE") == count
