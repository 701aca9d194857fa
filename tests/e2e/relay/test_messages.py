"""Where a sandbox's bot may write, and which messages it may change."""

from __future__ import annotations

import aiohttp
import pytest

from bot.sandboxes.model import Actor


def messages(channel):
    return f"/channels/{channel.id}/messages"


async def direct_channel(call, person, status=200):
    return await call("POST", "/users/@me/channels", {"recipient_id": str(person.id)}, status)


async def production_writes(scene, channel, content="production's"):
    """What the team's own bot writes, which is the same user."""
    headers = {"Authorization": f"Bot {scene.discord.token}"}
    url = f"{scene.discord.api_base}/channels/{channel.id}/messages"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json={"content": content}) as response,
    ):
        return (await response.json())["id"]


async def test_a_bot_writes_to_its_sandboxes_owner_and_changes_what_it_wrote(scene, adas):
    channel = await direct_channel(adas, scene.ada)
    path = f"/channels/{channel['id']}/messages"
    await adas("POST", f"/channels/{channel['id']}/typing", status=204)
    written = await adas("POST", path, {"content": "hello"})
    assert (await scene.ada.wait_for_dm()).content == "hello"
    await adas("PATCH", f"{path}/{written['id']}", {"content": "hello again"})
    await adas("POST", path, {"content": "a reply", "message_reference": {"message_id": written["id"]}})
    await adas("DELETE", f"{path}/{written['id']}", status=204)
    assert [message.content for message in scene.ada.dm_channel.messages.values()] == ["a reply"]


async def test_a_direct_channel_has_no_history_and_shows_nothing_of_others(scene, adas):
    others = await production_writes(scene, scene.ada.dm_channel, "a secret of the product's")
    channel = await direct_channel(adas, scene.ada)
    assert channel["last_message_id"] is None
    path = f"/channels/{channel['id']}"
    for method, below in (("GET", ""), ("GET", "/messages"), ("GET", f"/messages/{others}"), ("GET", "/pins")):
        await adas(method, path + below, status=403)
    await adas("PATCH", f"{path}/messages/{others}", {"content": "changed"}, status=403)
    await adas("DELETE", f"{path}/messages/{others}", status=403)
    for reference in ({"message_id": others}, {"message_id": others, "channel_id": channel["id"], "type": 1}):
        refused = await adas("POST", f"{path}/messages", {"content": "x", "message_reference": reference}, status=403)
        assert "secret" not in str(refused)
        forward = {"message_reference": {**reference, "channel_id": channel["id"], "type": 1}}
        await adas("POST", messages(scene.lab.general), forward, status=403)


async def test_a_direct_channel_is_no_others_sandboxes(scene, adas, bobs):
    channel = await direct_channel(adas, scene.ada)
    await bobs("POST", f"/channels/{channel['id']}/messages", {"content": "from bob"}, status=403)
    await bobs("POST", f"/channels/{channel['id']}/typing", status=403)


@pytest.mark.parametrize(
    ("policy", "ada", "bob", "stranger"),
    [("owner", 200, 403, 403), ("members", 200, 200, 403), ("nobody", 403, 403, 403)],
)
async def test_the_settings_say_to_whom_a_bot_may_write(scene, serve, calling, policy, ada, bob, stranger):
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    async with serve(direct_messages=policy) as relayed:
        call = await calling(relayed, sandbox)
        for person, status in ((scene.ada, ada), (scene.bob, bob), (scene.discord.add_person("eve"), stranger)):
            answer = await direct_channel(call, person, status)
            assert answer.get("code") == (50007 if status == 403 else None)


async def test_a_channel_that_was_opened_closes_with_the_policy(scene, serve, calling):
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    async with serve() as relayed:
        channel = await direct_channel(await calling(relayed, sandbox), scene.ada)
    async with serve(direct_messages="nobody") as relayed:
        call = await calling(relayed, sandbox)
        await call("POST", f"/channels/{channel['id']}/messages", {"content": "x"}, status=403)


async def test_without_redis_nothing_is_written_to_anybody(scene, relayed, adas, monkeypatch):
    channel = await direct_channel(adas, scene.ada)

    async def away(*_, **__):
        raise ConnectionError("away")

    monkeypatch.setattr(relayed.scene.app.stores.redis, "execute_command", away)
    await adas("POST", f"/channels/{channel['id']}/messages", {"content": "x"}, status=503)
    await adas("POST", "/interactions/1/unknowntoken/callback", {"type": 1}, status=503)


async def test_what_the_team_s_own_bot_has_written_cannot_be_changed(scene, adas):
    foreign, path = await production_writes(scene, scene.lab.general), messages(scene.lab.general)
    own = (await adas("POST", path, {"content": "the sandbox's"}))["id"]
    await adas("PATCH", f"{path}/{own}", {"content": "changed"})
    for method, below, json in (
        ("PATCH", f"/{foreign}", {"content": "changed"}),
        ("DELETE", f"/{foreign}", None),
        ("POST", f"/{foreign}/crosspost", None),
        ("POST", "/bulk-delete", {"messages": [own, foreign]}),
    ):
        refused = await adas(method, path + below, json, status=403)
        assert foreign in refused["message"]
        assert own not in refused["message"]
    assert [message.content for message in scene.lab.general.messages.values()] == ["production's", "changed"]


async def test_messages_of_people_are_moderated_as_discord_lets_the_bot(scene, adas):
    path = messages(scene.lab.general)
    spam = [(await scene.bob.send(scene.lab.general, f"spam {number}")).id for number in range(6)]
    await adas("DELETE", f"{path}/{spam[0]}", status=204)
    own = (await adas("POST", path, {"content": "enough"}))["id"]
    await adas("POST", f"{path}/bulk-delete", {"messages": [*map(str, spam[1:]), own]}, status=204)
    assert not scene.lab.general.messages
    await adas("DELETE", f"{path}/{spam[0]}", status=404)


async def test_an_answer_to_an_interaction_is_changed_by_its_channel_too(scene, adas, relayed, start_bot):
    bot = await start_bot(await relayed.environment(adas.sandbox), "answering_discord_py.py")
    await bot.says("ready")
    reply = await scene.ada.command("ping", channel=scene.lab.general)
    assert reply.message.content == "pong"
    await bot.says("answered")
    await bot.says("changed by its channel")


async def test_a_thread_of_a_forum_begins_with_a_message_of_its_own(scene, adas):
    channel = await adas("POST", f"/guilds/{scene.lab.id}/channels", {"name": "ideas", "type": 15}, status=201)
    thread = await adas(
        "POST", f"/channels/{channel['id']}/threads", {"name": "one", "message": {"content": "first"}}, status=201
    )
    await adas("PATCH", f"/channels/{thread['id']}/messages/{thread['id']}", {"content": "changed"})
