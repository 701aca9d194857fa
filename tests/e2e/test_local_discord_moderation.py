"""Moderators in the local Discord: what they do is told, and stands in the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import discord
import pytest
from discord import AuditLogAction as Action

from local_discord import UsageError
from tests.e2e.test_local_discord_support import lab, plain, text_channel

EVERYTHING = discord.Intents.all()
MODERATOR = (
    "view_audit_log kick_members ban_members manage_roles manage_channels manage_messages manage_guild "
    "manage_nicknames moderate_members manage_webhooks create_guild_expressions pin_messages"
).split()


async def test_what_the_bot_does_stands_in_the_audit_log_with_its_reason():
    async with lab(*MODERATOR, intents=EVERYTHING) as (local, bot, guild, ada):
        seen = text_channel(bot, guild).guild
        bob = local.add_person("bob")
        guild.add_member(bob)
        member = await seen.fetch_member(bob.id)
        role = await seen.create_role(name="helper", reason="for help")
        await role.edit(colour=discord.Colour.red())
        await member.add_roles(role)
        await member.edit(nick="bobby", reason="shorter\N{SNOWMAN}")
        channel = await seen.create_text_channel("plans")
        await channel.set_permissions(role, send_messages=True)
        hook = await channel.create_webhook(name="hook")
        await hook.delete()
        invite = await channel.create_invite()
        await invite.delete()
        said = await ada.send(guild.general, "words")
        partial = text_channel(bot, guild).get_partial_message(said.id)
        await partial.pin()
        await partial.delete()
        await channel.delete()
        await member.ban(reason="spam")
        entries = [entry async for entry in seen.audit_logs(limit=None, oldest_first=True)]
        assert [entry.action for entry in entries] == [
            Action.role_create,
            Action.role_update,
            Action.member_role_update,
            Action.member_update,
            Action.channel_create,
            Action.overwrite_create,
            Action.webhook_create,
            Action.webhook_delete,
            Action.invite_create,
            Action.invite_delete,
            Action.message_pin,
            Action.message_delete,
            Action.channel_delete,
            Action.ban,
        ]
        assert {entry.user for entry in entries} == {bot.user}
        by_action = {entry.action: entry for entry in entries}
        assert (by_action[Action.role_create].target, by_action[Action.role_create].reason) == (role, "for help")
        assert by_action[Action.role_update].after.colour == discord.Colour.red()
        assert by_action[Action.member_role_update].after.roles == [role]
        edited = by_action[Action.member_update]
        assert (edited.before.nick, edited.after.nick, edited.reason) == (None, "bobby", "shorter\N{SNOWMAN}")
        assert by_action[Action.overwrite_create].extra == role
        assert by_action[Action.invite_create].after.code == invite.code
        assert by_action[Action.message_delete].extra.count == 1
        assert (by_action[Action.ban].target.id, by_action[Action.ban].reason) == (bob.id, "spam")
        await bot.hears("audit_log_entry_create", lambda entry: entry.action is Action.ban)
        assert bot.count("audit_log_entry_create") == len(entries)
        bans = [entry async for entry in seen.audit_logs(action=Action.ban, user=bot.user)]
        assert [entry.id for entry in bans] == [entries[-1].id]


async def test_the_audit_log_is_read_and_heard_only_by_whoever_may():
    async with plain("manage_roles") as api:
        assert (await api("POST", f"/guilds/{api.guild.id}/roles", json={"name": "x"}))[0] == 200
        status, body = await api("GET", f"/guilds/{api.guild.id}/audit-logs")
        assert (status, body["code"]) == (403, 50013)
        assert [entry.action for entry in api.guild.audit_log.entries] == [30]


async def test_people_moderate_and_the_bot_hears_who_it_was():
    async with lab("view_audit_log", intents=EVERYTHING) as (local, bot, guild, ada):
        olga, bob = local.add_person("olga"), local.add_person("bob")
        guild.add_member(bob)
        guild.add_member(olga, permissions=MODERATOR)
        role = guild.add_role("helper")
        role.position, guild.members[olga.id].roles[0].position = 1, 5
        await olga.give_role(guild, bob, role)
        await olga.rename(guild, bob, "bobby")
        until = datetime.now(UTC) + timedelta(hours=1)
        await olga.time_out(guild, bob, until)
        assert (await bot.hears("member_update", lambda _, after: after.is_timed_out())).id == bob.id
        await olga.pin(await olga.send(guild.general, "rules"))
        assert (await bot.hears("message_edit", lambda _, after: after.pinned)).author.id == olga.id
        await olga.ban(guild, bob, reason="spam")
        entry = await bot.hears("audit_log_entry_create", lambda one: one.action is Action.ban)
        assert (entry.user.id, entry.target.id, entry.reason) == (olga.id, bob.id, "spam")
        await olga.unban(guild, bob)
        await bot.hears("member_unban")
        guild.add_member(bob)
        await olga.kick(guild, bob)
        assert bob.id not in guild.members
        with pytest.raises(UsageError) as refused:
            await olga.kick(guild, ada)
        assert refused.value.code == 50013


async def test_nobody_moderates_without_the_permission():
    async with plain() as api:
        bob, guild = api.local.add_person("bob"), api.guild
        guild.add_member(bob)
        for refused in (
            bob.kick(guild, api.local.bot_user),
            bob.ban(guild, api.local.bot_user),
            bob.time_out(guild, api.local.bot_user, None),
            bob.give_role(guild, bob, guild.add_role("helper")),
            bob.permit_command(guild, None, {}),
        ):
            with pytest.raises(UsageError) as failure:
                await refused
            assert failure.value.code == 50013
        await bob.rename(guild, bob, "bobby")
        assert guild.members[bob.id].nick == "bobby"


async def test_whoever_was_away_for_long_is_pruned_unless_a_role_keeps_them():
    async with lab("manage_guild", "kick_members") as (local, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        for name, permissions in (("bob", []), ("carl", ["manage_messages"])):
            guild.add_member(local.add_person(name), permissions=permissions).inactive_days = 10
        keeper = discord.Object(next(one.roles[0].id for one in guild.members.values() if one.user.name == "carl"))
        assert await seen.estimate_pruned_members(days=30) == 0
        assert await seen.estimate_pruned_members(days=7) == 1
        assert await seen.estimate_pruned_members(days=7, roles=[keeper]) == 2
        assert await seen.prune_members(days=7) == 1
        assert sorted(one.user.name for one in guild.members.values()) == ["ada", "bot", "carl"]


async def test_an_invite_is_used_up_and_does_not_let_the_banned_in():
    async with lab("manage_channels", intents=EVERYTHING) as (local, bot, guild, _ada):
        invite = await text_channel(bot, guild).create_invite(max_uses=1)
        bob, carl = local.add_person("bob"), local.add_person("carl")
        guild.ban(carl)
        with pytest.raises(UsageError) as banned:
            await carl.accept_invite(invite.code)
        assert banned.value.code == 40007
        await bob.accept_invite(invite.code)
        assert (await bot.hears("member_join")).id == bob.id
        await bot.hears("invite_delete")
        with pytest.raises(UsageError) as gone:
            await carl.accept_invite(invite.code)
        assert gone.value.code == 10006
