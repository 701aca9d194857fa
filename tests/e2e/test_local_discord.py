"""discord.py logs in to the local Discord and talks to people there."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.ext import commands

from local_discord import LocalDiscord
from tests.e2e.test_local_discord_support import ProbeBot, connected, running


def hello(bot: ProbeBot) -> None:
    @bot.tree.command()
    async def hello(interaction: discord.Interaction[Any], name: app_commands.Range[str, 2, 10] = "you") -> None:
        """Greet somebody."""
        await interaction.response.send_message(f"Hello {name}", ephemeral=True)


async def test_a_bot_logs_in_and_syncs_its_commands():
    async with connected(hello) as (local, bot):
        assert bot.user is not None
        assert bot.user.id == local.bot_user.id
        assert [command["name"] for command in local.commands] == ["hello"]
        assert (local.syncs, local.identifies, local.connections) == (1, 1, 1)
        assert (await bot.application_info()).owner.id == local.owner.id


async def test_a_wrong_token_is_refused():
    async with LocalDiscord(token="another.token.entirely") as local:
        bot = ProbeBot(None, discord.Intents.default())
        local.settings.token = "changed"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(discord.http.Route, "BASE", local.api_base)
            with pytest.raises(discord.LoginFailure):
                await bot.start("another.token.entirely")
        await bot.close()


async def test_an_ephemeral_reply_is_seen_by_its_asker_alone():
    async with connected(hello) as (local, bot):
        ada, bob = local.add_person("ada"), local.add_person("bob")
        guild = local.add_guild("Lab", owner=ada)
        guild.add_member(bob)
        reply = await ada.command("hello", channel=guild.general, name="Ada")
        assert reply.message is not None
        assert reply.message.content == "Hello Ada"
        assert reply.message.ephemeral
        assert reply.message.seen_by is ada
        assert not guild.general.messages
        seen = await bot.hears("message")
        assert seen.guild is None
        assert seen.id == reply.message.id


async def test_a_person_and_the_bot_write_to_each_other_directly():
    async with connected(hello) as (local, bot):
        ada = local.add_person("ada")
        await ada.send_dm("hi")
        heard = await bot.hears("message")
        assert (heard.content, heard.guild, heard.author.id) == ("hi", None, ada.id)
        await heard.channel.send("hello back", embed=discord.Embed(title="Really"))
        answer = await ada.wait_for_dm(lambda message: message.content == "hello back")
        assert answer.embeds[0]["title"] == "Really"
        ada.dms_closed = True
        with pytest.raises(discord.Forbidden) as refused:
            await (await bot.fetch_user(ada.id)).send("still there?")
        assert refused.value.code == 50007


async def test_a_plain_bot_connects_too():
    async with LocalDiscord() as local:
        ada = local.add_person("ada")
        local.add_guild("Lab", owner=ada)
        bot = commands.Bot(command_prefix="!", intents=discord.Intents.default(), guild_ready_timeout=0.2)
        async with running(bot, local):
            await bot.wait_until_ready()
            assert [guild.name for guild in bot.guilds] == ["Lab"]


async def test_it_closes_at_once_even_if_the_bot_stays():
    bot = ProbeBot(hello, discord.Intents.default())
    async with LocalDiscord() as local, asyncio.timeout(5):
        started = asyncio.get_running_loop().time()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(discord.http.Route, "BASE", local.api_base)
            life = asyncio.create_task(bot.start(local.token))
            await local.wait_ready()
            await local.__aexit__(None, None, None)
            assert local.connections == 0
            assert asyncio.get_running_loop().time() - started < 2
            await bot.close()
            await asyncio.gather(life, return_exceptions=True)


async def test_thousands_of_events_a_second_reach_the_bot():
    async with connected() as (local, bot):
        guild = local.add_guild("Lab", owner=local.add_person("ada"))
        started = asyncio.get_running_loop().time()
        for number in range(2000):
            await local.dispatch("SOMETHING_NEW", {"guild_id": str(guild.id), "number": number}, guild_id=guild.id)
        last = local.dispatched[-1].text
        await bot.hears("socket_raw_receive", lambda raw: raw == last)
        assert asyncio.get_running_loop().time() - started < 4
