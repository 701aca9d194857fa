"""Bots as their authors wrote them, in a sandbox."""

from __future__ import annotations

from bot.sandboxes.model import Actor


async def test_a_discord_py_bot_hears_its_server_and_answers_there(scene, relayed, start_bot):
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    bot = await start_bot(await relayed.environment(sandbox))
    await bot.says(f"ready {scene.discord.bot_user.name} Ada's_Lab")
    await scene.ada.send(scene.lab.general, "hello")
    await bot.says("message Ada's Lab hello")
    await scene.until(lambda: says(scene.lab.general, "echo hello"))


async def says(channel, content):
    return any(message.content == content for message in channel.messages.values())


async def test_a_relay_that_dies_loses_nothing_for_a_bot_that_lives(scene, serve, start_bot):
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    async with serve() as first:
        bot = await start_bot(await first.environment(sandbox))
        await bot.says(f"ready {scene.discord.bot_user.name} Ada's_Lab")
        await scene.ada.send(scene.lab.general, "one")
        await bot.says("message Ada's Lab one")
        listening = first.listening.dup()
    await scene.ada.send(scene.lab.general, "two")
    async with serve(listening):
        await bot.says("message Ada's Lab two")
        await bot.says("resumed")
        await scene.app.manager.register_guild(Actor(scene.bob.id, "bob", True), sandbox.id, scene.arcade.id)
        await scene.ada.send(scene.arcade.general, "three")
        await bot.says("message Bob's Arcade three")
        await bot.says("joined Bob's Arcade")
        await scene.app.manager.unregister_guild(Actor(scene.bob.id, "bob", True), scene.arcade.id)
        await bot.says("left Bob's Arcade")
        assert [line for line in bot.heard if line.startswith("message Ada's")] == [
            "message Ada's Lab one",
            "message Ada's Lab two",
        ]
