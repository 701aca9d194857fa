"""What a test need not wait for: the clock is moved, and what the bot says is awaited."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import aiohttp
import discord
import pytest
from discord.ext import commands

from local_discord import BotEnded, LocalDiscord, UsageError, run_bot
from tests.e2e.test_local_discord_support import ProbeBot, connected

FOUR_MINUTES, A_DAY = 240, 86_400


def with_commands(bot: ProbeBot) -> None:
    @bot.tree.command()
    async def later(interaction: discord.Interaction[Any]) -> None:
        """Has more to say."""
        await interaction.response.send_message("first")


def with_a_cooldown(bot: ProbeBot) -> None:
    @bot.command()
    @commands.cooldown(1, 600)
    async def tea(ctx: commands.Context[ProbeBot]) -> None:
        await ctx.send("tea")


@pytest.fixture
async def local():
    async with LocalDiscord() as local:
        yield local


async def test_a_token_of_an_interaction_is_good_for_fifteen_minutes_of_discords():
    async with connected(with_commands) as (local, bot):
        ada = local.add_person("ada")
        lab = local.add_guild("Lab", owner=ada)
        await ada.command("later", channel=lab.general)
        interaction = await bot.hears("interaction")
        await local.advance(FOUR_MINUTES)
        await interaction.followup.send("second")
        await local.advance(3 * FOUR_MINUTES)
        with pytest.raises(discord.HTTPException) as refused:
            await interaction.followup.send("third")
        assert refused.value.code == 50027


async def test_an_interaction_that_waits_for_its_answer_fails_when_its_time_has_passed(local):
    local.settings.callback_deadline_s = 600
    ada = local.add_person("ada")
    lab = local.add_guild("Lab", owner=ada)
    reply = await ada.use_foreign_command("ping", channel=lab.general)
    await local.advance(599)
    assert not reply.failed
    await local.advance(2)
    assert reply.failed


async def test_messages_time_outs_slow_mode_threads_invites_and_polls_follow_the_clock():
    async with connected(None) as (local, bot):
        ada, bob = local.add_person("ada"), local.add_person("bob")
        lab = local.add_guild("Lab", owner=ada)
        lab.add_member(bob)
        lab.add_member(local.bot_user, permissions=["create_instant_invite", "manage_channels"])
        lab.general.details["rate_limit_per_user"] = 60
        first = await bob.send(lab.general, "first")
        with pytest.raises(UsageError):
            await bob.send(lab.general, "too soon")
        thread = await ada.start_thread(lab.general, "talk", message=first)
        channel = (await bot.hears("message")).channel
        sent = await channel.send(poll=discord.Poll("Tea?", timedelta(hours=1)).add_answer(text="Yes"))
        invite = await channel.create_invite(max_age=3600)
        await ada.time_out(lab, bob, discord.utils.utcnow() + timedelta(minutes=5))
        await local.advance(FOUR_MINUTES)
        assert lab.members[bob.id].is_timed_out
        await local.advance(FOUR_MINUTES)
        second = await bob.send(lab.general, "second")
        assert 2 * FOUR_MINUTES <= ((second.id - first.id) >> 22) / 1000 < 2 * FOUR_MINUTES + 60
        poll = lab.general.messages[sent.id].poll
        assert not thread.archived
        assert not poll.is_over
        await local.advance(3 * A_DAY)
        assert thread.archived
        assert poll.is_over
        assert (await bot.hears("invite_delete")).code == invite.code


async def test_limits_and_sessions_follow_the_clock(local):
    local.settings.rate_limits["GET /users/@me"] = type(local.settings.rate_limit)(1, 600)
    local.settings.session_starts.exhaust(3600)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {local.token}"}) as session:

        async def status():
            async with session.get(f"{local.api_base}/users/@me") as response:
                return response.status

        assert [await status(), await status()] == [200, 429]
        await local.advance(601)
        assert await status() == 200
    await local.advance(3000)
    assert local.settings.session_starts.remaining == 0
    assert local.settings.session_starts.payload()["remaining"] == 1000


@pytest.mark.parametrize(("away_s", "starts"), [(301, 2), (100, 1)])
async def test_a_session_without_a_connection_is_kept_for_five_minutes_of_discords(away_s, starts):
    async with connected(None) as (local, _):
        local.turn_away("HELLO", 1006)
        await local.hang_up()
        await local.wait_until_gone()
        await local.advance(away_s)
        local.turn_away("HELLO", None)
        begun = lambda: local.identifies + local.resumes == 2  # noqa: E731
        await local.gateway.changed.wait_until(begun, timeout=30)
        assert local.identifies == starts


async def test_a_cooldown_of_the_library_is_over_when_the_clock_was_moved():
    async with connected(with_a_cooldown) as (local, bot):
        ada = local.add_person("ada")
        lab = local.add_guild("Lab", owner=ada)
        order = f"{local.bot_user.mention} tea"
        await ada.send(lab.general, order)
        first = await ada.wait_for_message(lab.general)
        await ada.send(lab.general, order)
        await bot.hears("command_error")
        await local.advance(601)
        await ada.send(lab.general, order)
        assert (await ada.wait_for_message(lab.general, after=first)).content == "tea"


async def test_a_clock_is_not_turned_back(local):
    with pytest.raises(ValueError, match="turned back"):
        await local.advance(-1)


async def test_a_person_waits_for_what_the_bot_says():
    async with connected(None) as (local, bot):
        ada = local.add_person("ada")
        lab = local.add_guild("Lab", owner=ada)
        asked = await ada.send(lab.general, "hello")
        heard = await bot.hears("message")
        waiting = asyncio.create_task(ada.wait_for_message(lab.general, lambda one: one.content == "done"))
        sent = await heard.channel.send("at it")
        assert (await ada.wait_for_message(lab.general, after=asked)).content == "at it"
        await sent.edit(content="done")
        assert (await waiting).id == sent.id
        with pytest.raises(TimeoutError, match=r"It wrote: \['done'\]"):
            await ada.wait_for_message(lab.general, lambda one: one.content == "more", timeout=0.01)
        with pytest.raises(TimeoutError):
            await ada.wait_for_message(lab.general, after=lab.general.messages[sent.id], timeout=0.01)


async def test_a_bot_that_ends_before_it_is_ready_is_told_with_what_it_wrote(local):
    program = "import os; print('no', os.environ['DISCORD_TOKEN'].count('.')); raise SystemExit(4)"
    with pytest.raises(BotEnded, match=r"ended with 4\. It wrote:\nno 2"):
        async with run_bot(local, sys.executable, "-c", program):
            pass
