"""What guilds and the application set on themselves in the local Discord: screens, widgets, events, entitlements."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import discord
import pytest
from discord import utils

from tests.e2e.test_local_discord_support import lab, plain, text_channel

EVERYTHING = discord.Intents.all()
VOICE = 2


async def test_a_welcome_screen_is_set_shown_and_hidden():
    async with lab("manage_guild") as (local, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        with pytest.raises(discord.NotFound) as missing:
            await seen.welcome_screen()
        assert missing.value.code == 10069
        channel = discord.WelcomeChannel(channel=text_channel(bot, guild), description="read this", emoji="👋")
        await seen.edit_welcome_screen(description="Hello", welcome_channels=[channel], enabled=True)
        await bot.hears("guild_update", lambda _, after: "WELCOME_SCREEN_ENABLED" in after.features)
        screen = await seen.welcome_screen()
        assert (screen.description, [one.description for one in screen.welcome_channels]) == ("Hello", ["read this"])
        guild.add_member(local.bot_user)
        assert await seen.welcome_screen()
        guild.details["features"] = []
        with pytest.raises(discord.NotFound):
            await seen.welcome_screen()


async def test_onboarding_asks_questions_that_have_ids():
    async with lab("manage_guild", "manage_roles") as (_, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        option = discord.OnboardingPromptOption(title="Red", emoji="🔴", channels=[text_channel(bot, guild)])
        prompt = discord.OnboardingPrompt(
            type=discord.OnboardingPromptType.multiple_choice, title="Colour?", options=[option], single_select=True
        )
        await seen.edit_onboarding(prompts=[prompt], default_channels=[text_channel(bot, guild)], enabled=True)
        onboarding = await seen.onboarding()
        (asked,) = onboarding.prompts
        assert (onboarding.enabled, asked.title, asked.single_select) == (True, "Colour?", True)
        assert [(one.title, one.channel_ids, str(one.emoji)) for one in asked.options] == [
            ("Red", {guild.general.id}, "🔴")
        ]
        assert asked.id != asked.options[0].id


async def test_a_widget_is_open_to_all_when_it_is_on():
    async with plain("manage_guild") as api:
        guild = f"/guilds/{api.guild.id}"
        api.guild.add_channel("talk", VOICE)
        nobody = {"Authorization": ""}
        assert (await api("GET", f"{guild}/widget.json", headers=nobody))[1]["code"] == 50004
        assert (await api("PATCH", f"{guild}/widget", json={"enabled": True}))[1]["enabled"] is True
        assert (await api("GET", f"{guild}/widget"))[1] == {"enabled": True, "channel_id": None}
        _, widget = await api("GET", f"{guild}/widget.json", headers=nobody)
        assert (widget["name"], [one["name"] for one in widget["channels"]]) == ("Lab", ["talk"])


async def test_invites_are_closed_for_a_while():
    async with lab("manage_guild") as (_, bot, guild, _ada):
        seen, until = text_channel(bot, guild).guild, utils.utcnow() + timedelta(hours=1)
        edited = await seen.edit(invites_disabled_until=until)
        assert edited.invites_paused_until == until


async def test_an_event_is_somewhere_begins_ends_and_is_not_changed_after_that():
    async with lab("create_events", intents=EVERYTHING) as (_, bot, guild, ada):
        seen = text_channel(bot, guild).guild
        event = await seen.create_scheduled_event(
            name="Party",
            start_time=utils.utcnow() + timedelta(days=1),
            end_time=utils.utcnow() + timedelta(days=2),
            entity_type=discord.EntityType.external,
            location="here",
            privacy_level=discord.PrivacyLevel.guild_only,
        )
        await ada.set_interest(guild, event.id)
        assert (await bot.hears("scheduled_event_user_add")).id == event.id
        assert [user.id async for user in event.users()] == [ada.id]
        await ada.set_interest(guild, event.id, interested=False)
        assert [user.id async for user in event.users()] == []
        started = await event.start()
        ended = await started.end()
        assert ended.status is discord.EventStatus.completed
        with pytest.raises(discord.HTTPException) as over:
            await ended.edit(name="Again", start_time=event.start_time)
        assert over.value.code == 180000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"entity_metadata": None}, "entity_metadata"),
        ({"scheduled_end_time": None}, "scheduled_end_time"),
        ({"scheduled_end_time": "2030-01-01T00:00:00+00:00"}, "scheduled_end_time"),
        ({"scheduled_start_time": "2020-01-01T00:00:00+00:00"}, "scheduled_start_time"),
        ({"scheduled_start_time": "soon"}, "scheduled_start_time"),
        ({"entity_type": 2}, "channel_id"),
        ({"privacy_level": 1}, "privacy_level"),
    ],
)
async def test_a_faulty_event_is_refused_where_it_is_faulty(changes: dict[str, Any], field: str):
    whole = {
        "name": "Party",
        "privacy_level": 2,
        "entity_type": 3,
        "entity_metadata": {"location": "here"},
        "scheduled_start_time": "2031-01-01T00:00:00+00:00",
        "scheduled_end_time": "2031-01-02T00:00:00+00:00",
    }
    async with plain() as api:
        events = f"/guilds/{api.guild.id}/scheduled-events"
        assert (await api("POST", events, json=whole))[0] == 200
        status, body = await api("POST", events, json=whole | changes)
        assert (status, body["code"]) == (400, 50035)
        assert field in body["errors"]


async def test_somebody_elses_things_take_more_than_ones_own():
    async with plain() as api:
        emojis = f"/guilds/{api.guild.id}/emojis"
        picture = "data:image/png;base64,AAAA"
        _, own = await api("POST", emojis, json={"name": "mine", "image": picture})
        theirs = api.guild.emojis.add({"name": "theirs", "user": api.ada.payload()})
        assert (await api("PATCH", f"{emojis}/{own['id']}", json={"name": "new"}))[1]["name"] == "new"
        assert (await api("DELETE", f"{emojis}/{theirs['id']}"))[1]["code"] == 50013
        assert (await api("DELETE", f"{emojis}/{own['id']}"))[0] == 204


async def test_a_template_shows_what_its_guild_looked_like_when_it_was_synchronised():
    async with lab("manage_guild") as (_, bot, guild, _ada):
        seen = text_channel(bot, guild).guild
        template = await seen.create_template(name="like this", description="x")
        guild.add_channel("later", parent=guild.add_channel("work", 4))
        (listed,) = await seen.templates()
        assert (listed.code, listed.is_dirty) == (template.code, True)
        with pytest.raises(discord.HTTPException) as second:
            await seen.create_template(name="another")
        assert second.value.code == 30031
        await template.sync()
        await template.edit(name="like that")
        fetched = await bot.fetch_template(template.code)
        assert (fetched.name, fetched.is_dirty, fetched.creator.id) == ("like that", None, bot.user.id)
        assert [channel.name for channel in fetched.source_guild.channels] == ["general", "work", "later"]
        await template.delete()
        with pytest.raises(discord.NotFound) as gone:
            await bot.fetch_template(template.code)
        assert gone.value.code == 10057


async def test_entitlements_are_given_told_of_used_and_taken():
    async with lab() as (_, bot, guild, ada):
        sku = discord.Object(7)
        await bot.create_entitlement(sku, discord.Object(ada.id), discord.EntitlementOwnerType.user)
        given = await bot.hears("entitlement_create")
        assert (given.user_id, given.sku_id, given.consumed) == (ada.id, 7, False)
        await bot.create_entitlement(sku, discord.Object(guild.id), discord.EntitlementOwnerType.guild)
        assert [one.id async for one in bot.entitlements(user=discord.Object(ada.id))] == [given.id]
        await ada.use_foreign_command("anything", channel=guild.general)
        interaction = await bot.hears("interaction")
        assert [one.sku_id for one in interaction.entitlements] == [7, 7]
        await given.consume()
        assert (await bot.fetch_entitlement(given.id)).consumed
        await given.delete()
        assert (await bot.hears("entitlement_delete")).id == given.id
        with pytest.raises(discord.NotFound) as gone:
            await bot.fetch_entitlement(given.id)
        assert gone.value.code == 10029


async def test_the_application_is_changed():
    async with lab() as (_, bot, _guild, _ada):
        info = await bot.application_info()
        edited = await info.edit(description="Helps", tags=["help"])
        assert (edited.description, edited.tags) == ("Helps", ["help"])
        assert (await bot.application_info()).description == "Helps"


async def test_role_connections_are_described_by_at_most_five_records():
    async with plain() as api:
        metadata = f"/applications/{api.local.application_id}/role-connections/metadata"
        record = {"type": 1, "key": "level", "name": "Level", "description": "How far"}
        assert (await api("PUT", metadata, json=[record]))[1] == [record]
        assert (await api("GET", metadata))[1] == [record]
        assert (await api("PUT", metadata, json=[record] * 6))[1]["code"] == 50035
        _, body = await api("PUT", metadata, json=[record | {"type": 9}])
        assert "type" in str(body["errors"])


async def test_a_voice_channel_has_a_status_and_nobody_in_it():
    async with plain("set_voice_channel_status", "manage_channels") as api:
        voice = api.guild.add_channel("talk", VOICE)
        assert (await api("PUT", f"/channels/{voice.id}/voice-status", json={"status": "loud"}))[0] == 204
        status, body = await api("PUT", f"/channels/{api.guild.general.id}/voice-status", json={"status": "loud"})
        assert (status, body["code"]) == (400, 50024)
        for method in ("GET", "PATCH"):
            status, body = await api(method, f"/guilds/{api.guild.id}/voice-states/{api.ada.id}")
            assert (status, body["code"]) == (404, 10065)


async def test_a_category_that_goes_leaves_its_channels_alone_and_tells_of_them():
    async with lab() as (_, bot, guild, _ada):
        category = guild.add_channel("work", 4)
        below = guild.add_channel("plans", parent=category)
        guild.remove_channel(category)
        moved = await bot.hears("guild_channel_update", lambda _, after: after.id == below.id)
        assert moved.category_id == category.id
        assert bot.get_channel(below.id).category is None
