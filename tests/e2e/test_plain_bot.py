"""The cogs in a plain `commands.Bot` under dpytest: messages, members and direct messages."""

import discord
import discord.ext.test as dpytest
import pytest
from discord.ext import commands

from bot.client import COGS
from bot.cogs.dm_help import HELP_TEXT
from tests.service.conftest import make_manager  # noqa: F401 - a fixture


@pytest.fixture
async def plain_bot(make_manager):  # noqa: F811
    bot = commands.Bot(command_prefix=commands.when_mentioned, intents=discord.Intents.all())
    bot.manager = make_manager()  # type: ignore[attr-defined]
    bot.http = discord.http.HTTPClient(loop=discord.utils.MISSING)
    await bot._async_setup_hook()
    for cog in COGS:
        await bot.load_extension(cog)
    dpytest.configure(bot, guilds=1, members=2)
    yield bot
    await dpytest.empty_queue()


async def test_the_commands_are_there(plain_bot):
    groups = {group.name: group for group in plain_bot.tree.get_commands()}
    assert set(groups) == {"sandbox", "sandbox-admin"}
    assert {command.name for command in groups["sandbox-admin"].commands} == {"list", "orphans", "sweep", "destroy"}
    assert {command.name for command in groups["sandbox"].commands} == {
        "audit",
        "create",
        "list",
        "reset",
        "status",
        "connect",
        "extend",
        "bind-guild",
        "unbind-guild",
        "destroy",
    }


async def test_a_message_in_a_server_gets_no_chatter(plain_bot):
    await dpytest.message("sandbox create please")
    assert dpytest.verify().message().nothing()


async def test_a_new_member_gets_no_chatter(plain_bot):
    await dpytest.member_join()
    assert dpytest.verify().message().nothing()


async def test_a_direct_message_is_answered_with_how_to_begin(plain_bot):
    guild = plain_bot.guilds[0]
    member = next(member for member in guild.members if not member.bot)
    channel = await member.create_dm()
    await dpytest.message("hello?", channel=channel, member=member)
    assert dpytest.verify().message().content(HELP_TEXT)
