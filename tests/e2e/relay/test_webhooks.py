"""Webhooks of sandboxes' bots: their addresses work without the relay, so that none may be left behind."""

from __future__ import annotations

from bot.sandboxes.model import Actor
from bot.stores.postgres import connected


def webhooks(scene, channel):
    return {str(webhook.id) for webhook in scene.discord.world.webhooks.listing(channel)}


async def noted(scene):
    async with connected(scene.app.stores.pool) as connection:
        return {str(row["webhook_id"]) for row in await connection.fetch("SELECT webhook_id FROM relay_webhooks")}


async def make(call, channel, name="news"):
    return await call("POST", f"/channels/{channel.id}/webhooks", {"name": name})


def address(webhook):
    return f"/webhooks/{webhook['id']}/{webhook['token']}"


async def test_a_webhook_is_gone_from_discord_when_its_server_is_unbound_and_the_others_stay(scene, adas):
    made = await make(adas, scene.lab.general)
    await adas("POST", f"/guilds/{scene.lab.id}/channels", {"name": "more"}, status=201)
    others = scene.discord.world.webhooks.create(scene.lab.general, "the team's")
    assert webhooks(scene, scene.lab.general) == {made["id"], str(others.id)}
    await scene.app.manager.unregister_guild(Actor(scene.ada.id, "ada"), scene.lab.id)
    await scene.until(lambda: _is(webhooks(scene, scene.lab.general), {str(others.id)}))
    await scene.until(lambda: _no(noted(scene)))


async def test_webhooks_and_followers_are_gone_when_the_sandbox_is(scene, adas):
    news = scene.lab.add_channel("news", kind=5)
    made, follower = (
        await make(adas, scene.lab.general),
        await adas("POST", f"/channels/{news.id}/followers", {"webhook_channel_id": str(scene.lab.general.id)}),
    )
    assert webhooks(scene, scene.lab.general) == {made["id"], follower["webhook_id"]} == await noted(scene)
    await scene.app.manager.destroy(Actor(scene.ada.id, "ada"), adas.sandbox.id)
    await scene.until(lambda: _is(webhooks(scene, scene.lab.general), set()))


async def test_a_webhook_that_its_bot_has_deleted_is_forgotten(scene, adas):
    made = await make(adas, scene.lab.general)
    await adas("DELETE", f"/webhooks/{made['id']}", status=204)
    assert not await noted(scene)


async def test_a_webhook_of_which_discord_never_told_is_found_and_deleted(scene, adas):
    scene.discord.cut_next("/webhooks")
    await adas("POST", f"/channels/{scene.lab.general.id}/webhooks", {"name": "news"}, status=503)
    assert len(webhooks(scene, scene.lab.general)) == 1
    async with connected(scene.app.stores.pool) as connection:
        await connection.execute("UPDATE relay_webhooks SET begun_at = begun_at - interval '91 seconds'")
    await scene.app.manager.unregister_guild(Actor(scene.ada.id, "ada"), scene.lab.id)
    await scene.until(lambda: _is(webhooks(scene, scene.lab.general), set()))


async def test_a_webhook_that_cannot_be_deleted_is_tried_again_and_told(scene, adas):
    made = await make(adas, scene.lab.general)
    scene.discord.refuse_next(f"/webhooks/{made['id']}", 403, {"code": 50013, "message": "No"}, method="DELETE")
    await scene.app.manager.unregister_guild(Actor(scene.ada.id, "ada"), scene.lab.id)
    await scene.until(lambda: _has_asked(scene, "DELETE", f"/webhooks/{made['id']}"))
    assert await noted(scene) == {made["id"]}
    async with connected(scene.app.stores.pool) as connection:
        await connection.execute("UPDATE relay_webhooks SET next_try_at = now()")
    await scene.until(lambda: _is(webhooks(scene, scene.lab.general), set()))


async def test_webhooks_may_be_switched_off(scene, serve, calling):
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    news = scene.lab.add_channel("news", kind=5)
    async with serve(webhooks=False) as relayed:
        call = await calling(relayed, sandbox)
        refused = await call("POST", f"/channels/{scene.lab.general.id}/webhooks", {"name": "news"}, status=403)
        assert "relay.webhooks" in refused["message"]
        target = {"webhook_channel_id": str(scene.lab.general.id)}
        await call("POST", f"/channels/{news.id}/followers", target, status=403)
    assert not webhooks(scene, scene.lab.general)


async def test_a_webhook_is_used_with_its_token_alone_as_long_as_its_server_is_bound(
    scene, relayed, adas, bobs, calling
):
    made, nobody = await make(adas, scene.lab.general), await calling(relayed)
    for call in (adas, nobody):
        told = await call("POST", address(made) + "?wait=true", {"content": "hello"})
        assert told["webhook_id"] == made["id"]
    await bobs("POST", address(made), {"content": "from bob"}, status=403)
    await nobody("POST", f"/webhooks/{made['id']}/{'x' * 68}", {"content": "guessed"}, status=401)
    await scene.app.manager.unregister_guild(Actor(scene.ada.id, "ada"), scene.lab.id)
    await nobody("POST", address(made), {"content": "left behind"}, status=401)


async def test_who_does_not_say_who_he_is_cannot_spend_the_applications_refusals(scene, relayed, adas, calling):
    made, nobody = await make(adas, scene.lab.general), await calling(relayed)
    before = len(scene.discord.requests)
    answers = []
    for number in range(130):
        path = f"/webhooks/{made['id']}/guessed-token-{number}"
        async with nobody.session.post(nobody.base + path, json={"content": "x"}) as response:
            answers.append(response.status)
    assert answers == [401] * 100 + [429] * 30
    guesses = [each for each in scene.discord.requests[before:] if "guessed" in each[1]]
    assert len(guesses) == 100
    await nobody("POST", address(made), {"content": "one that is known"}, status=204)
    await adas("POST", address(made), {"content": "and a sandbox's own"}, status=204)


async def _is(found, wanted):
    return found == wanted


async def _no(asking):
    return not await asking


async def _has_asked(scene, method, path):
    return any(each[:2] == (method, path) for each in scene.discord.requests)
