"""What only one person may see reaches no sandbox but the one whose worker said it, through any restart."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest

from bot import names
from bot.app import open_app
from tests.e2e.conftest import environment_in, running, text


class Stage:
    """Bob's `red` holds Ada's Lab; Ada has `blue`. The bot may be stopped and started again."""

    def __init__(self, open_scene, settings_of):
        self._open_scene, self._settings_of = open_scene, settings_of

    @asynccontextmanager
    async def first(self):
        async with self._open_scene() as scene:
            scene.lab.add_member(scene.bob, manage_guild=True)
            await scene.bob.command("sandbox create", channel=scene.lab.general, name="red", bind_here=True)
            await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
            await scene.ada.send(scene.lab.general, "the channel is known")
            yield scene

    @asynccontextmanager
    async def again(self, scene):
        async with open_app(self._settings_of(scene.discord)) as app, running(app, scene.discord):
            scene.app = app
            yield scene


@pytest.fixture
def stage(open_scene, settings_of, monkeypatch):
    monkeypatch.setattr("bot.constants.IDENTIFY_EVERY_S", 0)
    return Stage(open_scene, settings_of)


@pytest.fixture
async def scene(stage):
    async with stage.first() as scene:
        yield scene


async def respond(scene, reply, data, *, kind=4):
    """A worker's answer, with what every worker has: id and token of the interaction."""
    url = f"{scene.discord.api_base}/interactions/{reply.interaction_id}/{reply.token}/callback"
    async with aiohttp.ClientSession() as session, session.post(url, json={"type": kind, "data": data}) as response:
        assert response.status == 204


async def edit(scene, reply, content):
    """What the worker has answered, changed."""
    url = f"{scene.discord.api_base}/webhooks/{scene.discord.application_id}/{reply.token}/messages/@original"
    async with aiohttp.ClientSession() as session, session.patch(url, json={"content": content}) as response:
        assert response.status == 200


async def follow_up(scene, reply, data):
    url = f"{scene.discord.api_base}/webhooks/{scene.discord.application_id}/{reply.token}"
    async with aiohttp.ClientSession() as session, session.post(url, json=data) as response:
        assert response.status == 200


async def got(scene, sandbox="red"):
    """The events of its stream as (name, d)."""
    stored = await scene.stored(await scene.sandbox(sandbox))
    return [(subject.rpartition(".")[2], json.loads(payload)["d"]) for subject, payload, _ in stored]


async def contents(scene, sandbox="red"):
    return [
        data["content"] for name, data in await got(scene, sandbox) if name.startswith("MESSAGE") and "content" in data
    ]


async def until_got(scene, content, sandbox="red"):
    async def is_there():
        return content in await contents(scene, sandbox)

    await scene.until(is_there)


async def test_credentials_that_are_played_again_after_a_crash_stay_with_their_owner(stage, redis_client):
    """Died after the answer to `connect`, and before it was saved that Discord had sent it."""
    async with stage.first() as scene:
        key = names.gateway_session_key(scene.discord.application_id, 1, 0)
        asked_at: list[int] = []
        is_own = scene.app.router.is_own_interaction

        def note(dispatch):
            if not asked_at:  # while the answer is made, somebody begins to write, by which the channel is known
                typing = {"guild_id": str(scene.lab.id), "channel_id": str(scene.lab.general.id)}
                scene.discord.gateway.emit("TYPING_START", typing, guild_id=scene.lab.id)
            asked_at.append(dispatch.sequence)
            return is_own(dispatch)

        scene.app.router.is_own_interaction = note
        assert environment_in(await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue"))
    session = json.loads(await redis_client.get(key))
    await redis_client.set(key, json.dumps(session | {"sequence": asked_at[0]}))
    async with stage.again(scene):
        await scene.ada.send(scene.lab.general, "all has been played again")
        await until_got(scene, "all has been played again")
        seen = json.dumps(await got(scene))
        assert ".env" not in seen
        assert "SANDBOX_" not in seen


async def test_the_edit_of_an_answer_from_before_a_restart_stays_with_its_asker(stage):
    async with stage.first() as scene:
        reply = await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")
    async with stage.again(scene):
        await scene.ada.send(scene.lab.general, "the channel is known again")
        await edit(scene, reply, "changed")
        await scene.ada.send(scene.lab.general, "afterwards")
        await until_got(scene, "afterwards")
        assert await contents(scene) == ["the channel is known", "the channel is known again", "afterwards"]
        assert scene.app.router.counts["withheld"] == 1
        status = text(await scene.bob.command("sandbox status", channel=None, sandbox="red"))
        assert "1 private answer was withheld" in status


@pytest.mark.long
async def test_an_answer_after_more_interactions_than_are_remembered_stays_with_its_asker(scene):
    reply = await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")
    for number in range(1040):
        data = {"id": str(10**17 + number), "type": 4, "guild_id": str(scene.lab.id), "data": {"name": "sandbox"}}
        scene.discord.gateway.emit("INTERACTION_CREATE", data, guild_id=scene.lab.id)
    await edit(scene, reply, "changed")
    await scene.ada.send(scene.lab.general, "afterwards")
    await until_got(scene, "afterwards")
    assert await contents(scene) == ["the channel is known", "afterwards"]


async def test_a_workers_private_answers_reach_it_in_order_after_a_restart_too(stage):
    async with stage.first() as scene:
        reply = await scene.ada.use_foreign_command("play", channel=scene.lab.general)
        await respond(scene, reply, {"content": "one", "flags": 64})
        await until_got(scene, "one")
    async with stage.again(scene):
        await scene.ada.send(scene.lab.general, "two")
        await edit(scene, reply, "three")
        await follow_up(scene, reply, {"content": "four", "flags": 64})
        await scene.ada.send(scene.lab.general, "five")
        await until_got(scene, "five")
        assert await contents(scene) == ["the channel is known", "one", "two", "three", "four", "five"]
        assert scene.app.router.counts["withheld"] == 0


async def test_that_a_private_answer_is_deleted_only_its_own_sandbox_hears(scene):
    theirs = await scene.ada.use_foreign_command("play", channel=scene.lab.general)
    await respond(scene, theirs, {"content": "one", "flags": 64})
    own = await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")
    await until_got(scene, "one")
    for reply in (own, theirs):
        url = f"{scene.discord.api_base}/webhooks/{scene.discord.application_id}/{reply.token}/messages/@original"
        async with aiohttp.ClientSession() as session, session.delete(url) as response:
            assert response.status == 204
    await scene.ada.send(scene.lab.general, "afterwards")
    await until_got(scene, "afterwards")
    events = await got(scene)
    (said,) = [data["id"] for _, data in events if data.get("content") == "one"]
    assert [data["id"] for name, data in events if name == "MESSAGE_DELETE"] == [said]


async def test_a_private_answer_of_one_sandboxs_worker_reaches_no_other_sandbox(scene):
    reply = await scene.ada.use_foreign_command("play", channel=scene.lab.general)
    await respond(scene, reply, {"content": "for red", "flags": 64})
    await until_got(scene, "for red")
    await scene.bob.command("sandbox unbind-guild", channel=scene.lab.general)
    await scene.ada.command("sandbox bind-guild", channel=scene.lab.general, sandbox="blue")
    await edit(scene, reply, "still for red")
    await scene.ada.send(scene.lab.general, "for blue")
    await until_got(scene, "for blue", "blue")
    assert await contents(scene, "blue") == ["for blue"]
    assert scene.app.router.counts["withheld"] == 1


async def test_without_redis_interactions_go_on_and_what_nobody_knows_is_withheld(stage, monkeypatch):
    async with stage.first() as scene:
        asked = []

        async def never(*_, **__):
            asked.append(1)
            await asyncio.Event().wait()

        with monkeypatch.context() as away:
            away.setattr("bot.constants.FORWARDED_ANSWER_WITHIN_S", 0.02)
            away.setattr(scene.app.gateway._forwarded, "_client", SimpleNamespace(set=never, get=never))
            replies = [await scene.ada.use_foreign_command("play", channel=scene.lab.general) for _ in range(20)]
            await respond(scene, replies[-1], {"content": "one", "flags": 64})
            await scene.ada.send(scene.lab.general, "two")
            await until_got(scene, "two")
        said = [data.get("content") for name, data in await got(scene) if name != "INTERACTION_CREATE"]
        assert [one for one in said if one in ("one", "two")] == ["one", "two"]
        assert len(asked) == 1  # there is no wait for each
        assert [name for name, _ in await got(scene)].count("INTERACTION_CREATE") == 20
    async with stage.again(scene):
        await scene.ada.send(scene.lab.general, "three")
        await edit(scene, replies[-1], "four")
        await scene.ada.send(scene.lab.general, "five")
        await until_got(scene, "five")
        assert [one for one in await contents(scene) if one in ("three", "four", "five")] == ["three", "five"]
