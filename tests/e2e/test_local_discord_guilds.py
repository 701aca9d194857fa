"""Guilds in the local Discord, as discord.py manages them: channels, members, roles, bans and what else is theirs."""

from __future__ import annotations

import io
from datetime import timedelta

import discord
import pytest
from discord import utils

from tests.e2e.test_local_discord_support import lab, text_channel

VOICE, STAGE = 2, 13
EVERYTHING = discord.Intents.all()
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(16)


async def test_channels_of_every_kind_are_made_changed_moved_and_deleted():
    async with lab("manage_channels", "manage_roles") as (_, bot, guild, _ada):
        seen = bot.get_guild(guild.id)
        assert seen is not None
        quiet = discord.PermissionOverwrite(send_messages=False)
        category = await seen.create_category("Work", overwrites={seen.default_role: quiet})
        below = await category.create_text_channel("below")
        loud = {seen.default_role: discord.PermissionOverwrite(send_messages=True)}
        apart = await category.create_text_channel("apart", overwrites=loud)
        assert (below.permissions_synced, apart.permissions_synced) == (True, False)
        text = await seen.create_text_channel("Big Plans", category=category, topic="none", slowmode_delay=5)
        assert (text.name, text.category_id, text.topic, text.slowmode_delay) == ("big-plans", category.id, "none", 5)
        voice = await seen.create_voice_channel("Talk", user_limit=3)
        assert (voice.bitrate, voice.user_limit) == (64_000, 3)
        forum = await seen.create_forum("help", available_tags=[discord.ForumTag(name="open")])
        assert [tag.name for tag in forum.available_tags] == ["open"]
        assert forum.available_tags[0].id
        assert (await seen.create_stage_channel("Stage")).type is discord.ChannelType.stage_voice
        await text.edit(name="small plans", category=None)
        assert (guild.channels[text.id].name, guild.channels[text.id].parent) == ("small-plans", None)
        await voice.edit(position=0)
        assert guild.channels[voice.id].position == 0
        await category.delete()
        assert (await bot.hears("guild_channel_delete")).id == category.id


async def test_channels_need_the_permission_to_manage_them():
    async with lab() as (_, bot, guild, _ada):
        channel = text_channel(bot, guild)
        for refused in (channel.guild.create_text_channel("more"), channel.edit(topic="x"), channel.delete()):
            with pytest.raises(discord.Forbidden) as failure:
                await refused
            assert failure.value.code == 50013


async def test_overwrites_grant_and_take_by_role_before_member():
    async with lab("manage_roles") as (local, bot, guild, _ada):
        channel, bob = text_channel(bot, guild), local.add_person("bob")
        guild.add_member(bob, permissions=["view_channel"])
        member = await channel.guild.fetch_member(bob.id)

        def may_write():
            return bool(guild.general.permissions_of(bob) & discord.Permissions(send_messages=True).value)

        await channel.set_permissions(channel.guild.default_role, send_messages=False)
        assert not may_write()
        await channel.set_permissions(member.roles[-1], send_messages=True)
        assert may_write()
        await channel.set_permissions(member, send_messages=False)
        assert not may_write()
        await channel.set_permissions(member, overwrite=None)
        assert may_write()
        with pytest.raises(discord.Forbidden):
            await channel.set_permissions(member, ban_members=True)


async def test_members_are_searched_by_name_and_nickname():
    async with lab("manage_nicknames", intents=EVERYTHING) as (local, bot, guild, ada):
        andy, anders = local.add_person("andy"), local.add_person("anders")
        for person in (andy, anders):
            guild.add_member(person)
        found = await bot.http.request(
            discord.http.Route("GET", "/guilds/{guild_id}/members/search", guild_id=guild.id),
            params={"query": "AN", "limit": 10},
        )
        assert [one["user"]["username"] for one in found] == ["andy", "anders"]
        seen = await text_channel(bot, guild).guild.fetch_member(andy.id)
        await seen.edit(nick="Zed")
        assert guild.members[andy.id].nick == "Zed"
        assert (await bot.hears("member_update", lambda _, after: after.id == andy.id)).id == andy.id
        found = await bot.http.request(
            discord.http.Route("GET", "/guilds/{guild_id}/members/search", guild_id=guild.id), params={"query": "ze"}
        )
        assert found[0]["nick"] == "Zed"
        owner = await seen.guild.fetch_member(ada.id)
        with pytest.raises(discord.Forbidden) as refused:
            await owner.edit(nick="boss")
        assert refused.value.code == 50013


async def test_roles_below_the_bots_own_are_made_given_taken_and_deleted():
    async with lab("manage_roles", "kick_members") as (local, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        bob = local.add_person("bob")
        guild.add_member(bob)
        staff = guild.add_role("staff", ["kick_members"])
        role = await seen.create_role(name="helpers", colour=discord.Colour(0xFF0000), hoist=True)
        assert (role.name, role.colour.value, role.hoist, role.position) == ("helpers", 0xFF0000, True, 1)
        member = await seen.fetch_member(bob.id)
        await member.add_roles(role)
        assert [one.id for one in guild.members[bob.id].roles] == [role.id]
        await member.remove_roles(role)
        assert guild.members[bob.id].roles == []
        await role.edit(name="friends", permissions=discord.Permissions(kick_members=True))
        assert guild.roles[role.id].name == "friends"
        for refused in (
            member.add_roles(discord.Object(staff.id)),
            member.edit(roles=[discord.Object(staff.id)]),
            role.edit(permissions=discord.Permissions(ban_members=True)),
        ):
            with pytest.raises(discord.Forbidden) as failure:
                await refused
            assert failure.value.code == 50013
        await role.delete()
        assert (await bot.hears("guild_role_delete")).id == role.id
        with pytest.raises(discord.NotFound) as missing:
            await member.add_roles(discord.Object(1))
        assert missing.value.code == 10011


async def test_somebody_is_kicked_banned_found_among_the_banned_and_let_in_again():
    async with lab("kick_members", "ban_members", intents=EVERYTHING) as (local, bot, guild, ada):
        seen = text_channel(bot, guild).guild
        bob, eve = local.add_person("bob"), local.add_person("eve")
        for person in (bob, eve):
            guild.add_member(person)
        await bob.send(guild.general, "spam")
        await seen.kick(discord.Object(eve.id))
        assert (await bot.hears("member_remove")).id == eve.id
        await seen.ban(discord.Object(bob.id), reason="spam", delete_message_seconds=60)
        assert (bob.id in guild.members, guild.general.messages) == (False, {})
        assert [(ban.user.id, ban.reason) async for ban in seen.bans()] == [(bob.id, "spam")]
        await seen.unban(discord.Object(bob.id))
        with pytest.raises(discord.NotFound) as missing:
            await seen.fetch_ban(discord.Object(bob.id))
        assert missing.value.code == 10026
        with pytest.raises(discord.Forbidden):
            await seen.ban(discord.Object(ada.id))


async def test_a_member_is_timed_out_until_a_time():
    async with lab("moderate_members") as (local, bot, guild, _ada):
        bob = local.add_person("bob")
        guild.add_member(bob)
        member = await text_channel(bot, guild).guild.fetch_member(bob.id)
        await member.timeout(timedelta(minutes=5))
        assert (await member.guild.fetch_member(bob.id)).is_timed_out()
        with pytest.raises(discord.HTTPException) as refused:
            await member.edit(mute=True)
        assert refused.value.code in (40032, 50013)


async def test_an_invite_is_made_looked_up_and_deleted():
    async with lab("manage_channels", "manage_guild") as (_, bot, guild, _ada):
        channel = text_channel(bot, guild)
        invite = await channel.create_invite(max_age=60, max_uses=1)
        assert (await bot.hears("invite_create")).code == invite.code
        found = await bot.fetch_invite(invite.code)
        assert (found.guild.id, found.channel.id, found.approximate_member_count) == (guild.id, channel.id, 2)
        assert [one.max_age for one in await channel.invites()] == [60]
        assert len(await channel.guild.invites()) == 1
        await invite.delete()
        with pytest.raises(discord.NotFound) as missing:
            await bot.fetch_invite(invite.code)
        assert missing.value.code == 10006


async def test_emojis_are_made_and_react():
    async with lab("manage_guild_expressions") as (_, bot, guild, ada):
        seen = text_channel(bot, guild).guild
        emoji = await seen.create_custom_emoji(name="blob", image=PICTURE)
        await bot.hears("guild_emojis_update")
        assert [one.name for one in seen.emojis] == ["blob"]
        message = await ada.send(guild.general, "look")
        partial = text_channel(bot, guild).get_partial_message(message.id)
        await partial.add_reaction(emoji)
        assert message.reactions == {f"blob:{emoji.id}": {bot.user.id}}
        with pytest.raises(discord.NotFound) as unknown:
            await partial.add_reaction("nothing:1")
        assert unknown.value.code == 10014
        await emoji.edit(name="bob")
        await emoji.delete()
        assert await seen.fetch_emojis() == []
        own = await bot.create_application_emoji(name="mine", image=PICTURE)
        assert [one.id for one in await bot.fetch_application_emojis()] == [own.id]
        await partial.add_reaction(own)
        assert f"mine:{own.id}" in message.reactions


async def test_events_and_moderation_rules_are_kept_and_told_of():
    async with lab("create_events", "manage_guild", intents=EVERYTHING) as (_, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        event = await seen.create_scheduled_event(
            name="Party",
            start_time=utils.utcnow() + timedelta(days=1),
            end_time=utils.utcnow() + timedelta(days=2),
            entity_type=discord.EntityType.external,
            location="here",
            privacy_level=discord.PrivacyLevel.guild_only,
        )
        assert (await bot.hears("scheduled_event_create")).id == event.id
        assert [one.name for one in await seen.fetch_scheduled_events()] == ["Party"]
        await event.delete()
        rule = await seen.create_automod_rule(
            name="no spam",
            event_type=discord.AutoModRuleEventType.message_send,
            trigger=discord.AutoModTrigger(type=discord.AutoModRuleTriggerType.spam),
            actions=[discord.AutoModRuleAction()],
            enabled=True,
        )
        await rule.edit(name="none at all")
        assert [one.name for one in await seen.fetch_automod_rules()] == ["none at all"]


async def test_stickers_are_uploaded_and_sent():
    async with lab("manage_guild_expressions") as (_, bot, guild, _ada):
        channel = text_channel(bot, guild)
        file = discord.File(io.BytesIO(PICTURE), "wave.png")
        sticker = await channel.guild.create_sticker(name="wave", description="hello", emoji="👋", file=file)
        assert (sticker.name, sticker.description) == ("wave", "hello")
        sent = await channel.send(stickers=[sticker])
        assert [one.id for one in sent.stickers] == [sticker.id]
        assert (await bot.fetch_sticker(sticker.id)).name == "wave"


async def test_sounds_regions_and_packs_are_there_to_be_asked_for():
    async with lab("manage_guild_expressions") as (_, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        assert next(sound.name for sound in await bot.fetch_soundboard_default_sounds()) == "quack"
        assert await seen.fetch_soundboard_sounds() == []
        sound = await seen.create_soundboard_sound(name="boo", sound=b"ID3" + bytes(16), emoji="👻")
        assert (await seen.fetch_soundboard_sound(sound.id)).name == "boo"
        assert await bot.fetch_premium_sticker_packs() == []
        assert (await bot.http.request(discord.http.Route("GET", "/voice/regions")))[0]["id"] == "local"


async def test_nobody_is_in_a_voice_channel():
    async with lab() as (_, bot, guild, ada):
        voice = guild.add_channel("Talk", VOICE)
        seen = await bot.hears("guild_channel_create", lambda one: one.id == voice.id)
        assert seen.voice_states == {}
        await seen.send("in its chat")
        assert [message.content for message in voice.messages.values()] == ["in its chat"]
        member = await seen.guild.fetch_member(ada.id)
        with pytest.raises(discord.NotFound) as missing:
            await member.fetch_voice()
        assert missing.value.code == 10065


async def test_a_guild_is_changed_by_whoever_manages_it():
    async with lab("manage_guild") as (_, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        await seen.edit(name="Laboratory", description="Science", verification_level=discord.VerificationLevel.high)
        assert (guild.name, (await bot.fetch_guild(guild.id)).description) == ("Laboratory", "Science")
        assert (await bot.fetch_guild_preview(guild.id)).name == "Laboratory"
        assert [one.approximate_member_count async for one in bot.fetch_guilds()] == [2]


async def test_a_stage_is_opened_changed_and_closed():
    async with lab("manage_channels", "mute_members", "move_members") as (_, bot, guild, _ada):
        made = guild.add_channel("Talks", STAGE)
        seen = await bot.hears("guild_channel_create", lambda one: one.id == made.id)
        instance = await seen.create_instance(topic="Science")
        assert (await bot.hears("stage_instance_create")).topic == "Science"
        with pytest.raises(discord.HTTPException) as refused:
            await seen.create_instance(topic="Art")
        assert refused.value.code == 150006
        await instance.edit(topic="Music")
        assert (await seen.fetch_instance()).topic == "Music"
        await instance.delete()
        with pytest.raises(discord.NotFound) as missing:
            await seen.fetch_instance()
        assert missing.value.code == 10067
