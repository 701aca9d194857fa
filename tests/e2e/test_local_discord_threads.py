"""Threads and posts, as discord.py and people start, join, change and leave them."""

from __future__ import annotations

import discord
import pytest

from local_discord import LocalDiscord, UsageError
from tests.e2e.test_local_discord_support import lab, text_channel

FORUM = 15
EVERYTHING = discord.Intents.all()


async def test_a_thread_that_is_started_from_a_message_has_its_id():
    async with lab() as (_, bot, guild, ada):
        question = await ada.send(guild.general, "who knows?")
        heard = await bot.hears("message", lambda message: message.id == question.id)
        thread = await heard.create_thread(name="answers", auto_archive_duration=60)
        assert (thread.id, thread.name, thread.parent_id) == (question.id, "answers", guild.general.id)
        assert thread.auto_archive_duration == 60
        fetched = await text_channel(bot, guild).fetch_message(question.id)
        assert fetched.flags.has_thread
        await thread.send("I do")
        assert [message.content for message in guild.threads[thread.id].messages.values()] == ["", "I do"]
        assert set(guild.threads[thread.id].joined) == {ada.id, bot.application_id}
        with pytest.raises(discord.HTTPException) as refused:
            await fetched.create_thread(name="again")
        assert refused.value.code == 160004


async def test_a_public_thread_is_told_of_in_its_channel_and_listed():
    async with lab() as (_, bot, guild, _ada):
        channel = text_channel(bot, guild)
        thread = await channel.create_thread(name="plans", type=discord.ChannelType.public_thread)
        told = await bot.hears("message", lambda message: message.type is discord.MessageType.thread_created)
        assert (told.content, told.reference.channel_id) == ("plans", thread.id)
        assert (await bot.hears("thread_create")).id == thread.id
        assert [one.id for one in await channel.guild.active_threads()] == [thread.id]


async def test_a_private_thread_is_seen_by_its_members_alone():
    async with lab(intents=EVERYTHING) as (local, bot, guild, _ada):
        bob = local.add_person("bob")
        guild.add_member(bob)
        thread = await text_channel(bot, guild).create_thread(name="secret", invitable=False)
        assert thread.is_private()
        own = guild.threads[thread.id]
        with pytest.raises(UsageError, match="cannot see"):
            await bob.send(own, "let me in")
        await thread.add_user(discord.Object(bob.id))
        await bob.send(own, "thank you")
        await bot.hears("message", lambda message: message.content == "thank you")
        assert {member.id for member in await thread.fetch_members()} == {bob.id, local.bot_user.id}
        await thread.leave()
        with pytest.raises(discord.Forbidden) as refused:
            await thread.send("am I still here?")
        assert refused.value.code == 50001


async def test_a_thread_is_archived_found_and_woken_by_whoever_writes():
    async with lab("manage_threads") as (_, bot, guild, ada):
        channel = text_channel(bot, guild)
        thread = await ada.start_thread(guild.general, "old plans")
        seen = await bot.hears("thread_create", lambda one: one.id == thread.id)
        await seen.edit(archived=True, name="older plans")
        assert [one.name async for one in channel.archived_threads()] == ["older plans"]
        assert await channel.guild.active_threads() == []
        with pytest.raises(discord.HTTPException) as refused:
            await seen.edit(name="oldest plans")
        assert refused.value.code == 50083
        await ada.send(thread, "wake up")
        await bot.hears("raw_thread_update", lambda told: not told.data["thread_metadata"]["archived"])
        assert not thread.archived
        await seen.edit(locked=True)
        assert thread.locked


async def test_only_whoever_manages_threads_changes_those_of_others():
    async with lab() as (_, bot, guild, ada):
        thread = await ada.start_thread(guild.general, "hers")
        seen = await bot.hears("thread_create", lambda one: one.id == thread.id)
        for refused in (seen.edit(name="mine"), seen.delete()):
            with pytest.raises(discord.Forbidden) as failure:
                await refused
            assert failure.value.code == 50013
        own = await text_channel(bot, guild).create_thread(name="own", type=discord.ChannelType.public_thread)
        assert (await own.edit(name="still own")).name == "still own"


async def test_a_deleted_thread_is_gone_with_what_was_written_in_it():
    async with lab("manage_threads") as (_, bot, guild, ada):
        thread = await ada.start_thread(guild.general, "short")
        seen = await bot.hears("thread_create", lambda one: one.id == thread.id)
        await seen.delete()
        assert (await bot.hears("raw_thread_delete")).thread_id == thread.id
        assert thread.id not in guild.threads
        with pytest.raises(discord.NotFound):
            await bot.fetch_channel(thread.id)


async def test_a_post_is_a_thread_with_its_first_message():
    async with lab(intents=EVERYTHING) as (_, bot, guild, ada):
        forum = guild.add_channel("help", FORUM)
        seen = await bot.hears("guild_channel_create", lambda one: one.id == forum.id)
        made = await seen.create_thread(name="It broke", content="How so?", file=discord.File(__file__, "log.txt"))
        assert made.thread.id == made.message.id
        assert made.message.attachments[0].filename == "log.txt"
        post = await ada.post(forum, "Mine too", "Same here")
        heard = await bot.hears("message", lambda message: message.id == post.id)
        assert (heard.content, heard.channel.name) == ("Same here", "Mine too")
        with pytest.raises(discord.HTTPException) as refused:
            await seen.create_thread(name="Nothing to say", content="")
        assert refused.value.code == 50006
        with pytest.raises(discord.HTTPException) as refused:
            await bot.get_partial_messageable(forum.id).send("no post")
        assert refused.value.code == 50008
        assert len(guild.threads) == 2


async def test_who_joins_and_leaves_is_told_to_bots_that_may_know():
    async with lab(intents=EVERYTHING) as (local, bot, guild, ada):
        bob = local.add_person("bob")
        guild.add_member(bob)
        thread = await ada.start_thread(guild.general, "open")
        seen = await bot.hears("thread_create", lambda one: one.id == thread.id)
        await seen.join()
        await bob.join(thread)
        assert (await bot.hears("thread_member_join", lambda member: member.id == bob.id)).thread.id == thread.id
        await bob.leave(thread)
        assert (await bot.hears("thread_member_remove")).id == bob.id
        assert "THREAD_MEMBERS_UPDATE" in {record.event for record in local.dispatched}


async def test_a_bot_that_connects_is_told_of_the_threads_that_are_awake():
    async with LocalDiscord() as local:
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        awake, asleep = [await ada.start_thread(guild.general, name) for name in ("awake", "asleep")]
        asleep.set_archived(True)
        assert [one["id"] for one in guild.create_payload()["threads"]] == [str(awake.id)]


async def test_a_thread_has_its_channels_permissions():
    async with lab() as (local, bot, guild, ada):
        thread = await ada.start_thread(guild.general, "quiet")
        guild.general.deny(local.bot_user, ["send_messages_in_threads"])
        place = bot.get_partial_messageable(thread.id)
        with pytest.raises(discord.Forbidden) as refused:
            await place.send("psst")
        assert refused.value.code == 50013
        guild.general.deny(local.bot_user, ["send_messages"])
        await place.send("psst")
