"""A worker answers interactions with their id and token alone."""

from __future__ import annotations

import pytest

from sandbox_worker import InteractionFailed, Sandbox, ServiceUnavailable, constants
from tests.e2e.conftest import environment_in


@pytest.fixture
async def stage(scene):
    """The scene, and a worker of the sandbox that the lab is bound to."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    reply = await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")
    scene.environment = environment_in(reply)
    async with Sandbox.from_env(scene.environment) as sandbox:
        scene.events = sandbox.events("INTERACTION_CREATE")
        yield scene
        await scene.events.aclose()


async def use(stage, command="score"):
    """What the person sees, and the event that the worker gets."""
    reply = await stage.ada.use_foreign_command(command, channel=stage.lab.general, player="bob")
    event = await anext(stage.events)
    await event.ack()
    assert event.data["data"]["name"] == command
    return reply, event


async def test_a_reply_is_seen_by_everybody_or_by_the_asker_alone(stage):
    reply, event = await use(stage)
    await event.reply("bob leads", embeds=[{"title": "Score"}])
    assert (reply.message.content, reply.message.ephemeral) == ("bob leads", False)
    assert reply.message.embeds[0]["title"] == "Score"
    reply, event = await use(stage)
    await event.reply("only you see this", ephemeral=True)
    assert reply.message.ephemeral


async def test_a_deferred_reply_is_written_later_changed_and_followed_up(stage):
    reply, event = await use(stage)
    await event.defer(ephemeral=True)
    assert reply.deferred
    await event.edit_reply("counting …")
    assert (reply.message.content, reply.message.ephemeral) == ("counting …", True)
    await event.edit_reply("bob leads")
    await event.follow_up("by far", ephemeral=True)
    assert [message.content for message in reply.messages] == ["bob leads", "by far"]


async def test_any_kind_of_first_answer_can_be_given(stage):
    reply, event = await use(stage)
    field = {"type": 4, "custom_id": "why", "label": "Why?", "style": 1}
    modal = {"title": "Tell me", "custom_id": "form", "components": [{"type": 1, "components": [field]}]}
    await event.respond(9, modal)
    assert reply.modal.title == "Tell me"


async def test_an_answer_that_comes_twice_too_late_or_too_early_is_told_what_to_do(stage):
    _, event = await use(stage)
    with pytest.raises(InteractionFailed, match="no answer yet"):
        await event.edit_reply("too early")
    await event.reply("once")
    with pytest.raises(InteractionFailed, match=r"answered already.*edit_reply"):
        await event.reply("twice")
    stage.discord.settings.callback_deadline_s = 0.05
    reply, event = await use(stage)
    await reply.wait_for(lambda reply: reply.failed)
    with pytest.raises(InteractionFailed, match=r"Too late.*defer") as failed:
        await event.reply("too late")
    assert (failed.value.status, failed.value.discord_code) == (404, 10062)


async def test_what_discord_does_not_take_is_said_in_its_words(stage):
    _, event = await use(stage)
    with pytest.raises(InteractionFailed, match=r"Discord refuses the answer \(400\): "):
        await event.reply("x" * 2001)


async def test_a_discord_that_is_away_is_told_without_the_token(stage, monkeypatch):
    monkeypatch.setattr(constants, "FIRST_ANSWER_WITHIN_S", 0.2)
    await stage.events.aclose()
    away = {**stage.environment, "SANDBOX_DISCORD_API": "http://127.0.0.1:9"}
    async with Sandbox.from_env(away) as sandbox:
        await stage.ada.use_foreign_command("score", channel=stage.lab.general)
        event = await anext(sandbox.events("INTERACTION_CREATE"))
        await event.ack()
        with pytest.raises(ServiceUnavailable) as failed:
            await event.reply("hello")
    assert event.data["token"] not in str(failed.value) + failed.value.detail
