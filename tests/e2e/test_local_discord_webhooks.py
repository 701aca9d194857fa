"""Webhooks in the local Discord, as discord.py makes and uses them."""

from __future__ import annotations

import aiohttp
import discord
import pytest

from tests.e2e.test_local_discord_support import lab, text_channel

FORUM, ANNOUNCEMENT = 15, 5


async def test_a_webhook_writes_changes_and_deletes_under_any_name():
    async with lab("manage_webhooks", intents=discord.Intents.all()) as (local, bot, guild, _ada):
        webhook = await text_channel(bot, guild).create_webhook(name="Weather")
        assert (await bot.hears("webhooks_update")).id == guild.general.id
        sent = await webhook.send("Rain", username="Cloud", wait=True, file=discord.File(__file__, "rain.txt"))
        heard = await bot.hears("message", lambda message: message.id == sent.id)
        assert (heard.webhook_id, heard.author.name, heard.content) == (webhook.id, "Cloud", "Rain")
        await sent.edit(content="Sun")
        assert (await webhook.fetch_message(sent.id)).content == guild.general.messages[sent.id].content == "Sun"
        await sent.delete()
        assert sent.id not in guild.general.messages
        await webhook.send("no answer wanted")
        assert local.requests[-1][2] == 204


async def test_a_webhook_needs_no_token_of_the_bot_and_ends_when_it_is_deleted():
    async with lab("manage_webhooks") as (_, bot, guild, _ada):
        made = await text_channel(bot, guild).create_webhook(name="Weather")
        async with aiohttp.ClientSession() as session:
            webhook = discord.Webhook.from_url(made.url, session=session)
            assert (await webhook.fetch()).user is None
            with pytest.raises(discord.NotFound) as missing:
                await discord.Webhook.partial(made.id, "wrong", session=session).send("not mine")
            assert missing.value.code == 10015
            assert (await webhook.edit(name="Climate")).name == "Climate"
            await webhook.delete()
            with pytest.raises(discord.NotFound) as missing:
                await webhook.send("gone")
        assert missing.value.code == 10015


async def test_webhooks_are_listed_and_moved_by_whoever_manages_them():
    async with lab("manage_webhooks") as (local, bot, guild, _ada):
        channel = text_channel(bot, guild)
        webhook = await channel.create_webhook(name="Weather")
        other = guild.add_channel("other")
        assert [one.name for one in await channel.guild.webhooks()] == ["Weather"]
        await webhook.edit(channel=discord.Object(other.id))
        assert await channel.webhooks() == []
        assert (await bot.fetch_webhook(webhook.id)).channel_id == other.id
        guild.add_member(local.bot_user)
        with pytest.raises(discord.Forbidden) as refused:
            await channel.create_webhook(name="More")
        assert refused.value.code == 50013


async def test_a_webhook_writes_in_threads_and_begins_posts():
    async with lab("manage_webhooks") as (_, bot, guild, ada):
        webhook = await text_channel(bot, guild).create_webhook(name="Weather")
        thread = await ada.start_thread(guild.general, "storms")
        sent = await webhook.send("Thunder", thread=discord.Object(thread.id), wait=True)
        assert thread.messages[sent.id].content == "Thunder"
        forum = guild.add_channel("forum", FORUM)
        seen = await bot.hears("guild_channel_create", lambda one: one.id == forum.id)
        poster = await seen.create_webhook(name="Poster")
        with pytest.raises(discord.HTTPException) as refused:
            await poster.send("no title")
        assert refused.value.code == 220001
        posted = await poster.send("text", thread_name="title", wait=True)
        assert guild.threads[posted.id].name == "title"


async def test_what_is_published_comes_to_the_channels_that_follow():
    async with lab("manage_webhooks") as (_, bot, guild, _ada):
        news = guild.add_channel("news", ANNOUNCEMENT)
        seen = await bot.hears("guild_channel_create", lambda one: one.id == news.id)
        await seen.follow(destination=text_channel(bot, guild))
        sent = await seen.send("Extra!")
        await sent.publish()
        (copy,) = guild.general.messages.values()
        assert copy.content == "Extra!"
        assert copy.reference is not None
        assert copy.reference["channel_id"] == str(news.id)
        assert (await seen.fetch_message(sent.id)).flags.crossposted
        with pytest.raises(discord.HTTPException) as refused:
            await sent.publish()
        assert refused.value.code == 40033


async def test_a_webhook_has_no_name_that_deceives():
    async with lab("manage_webhooks") as (_, bot, guild, _ada):
        with pytest.raises(discord.HTTPException, match="cannot contain"):
            await text_channel(bot, guild).create_webhook(name="Discord support")
