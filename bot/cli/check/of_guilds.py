"""The servers on Discord that sandboxes have bound: whether the bot is there, and what it lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import discord

from bot import constants
from bot.cli.check.surroundings import Application, Surroundings
from bot.concurrency import gather_bounded, raise_first
from bot.discord_away import is_refusal
from bot.findings import Finding, ok, warning
from bot.health_sources import is_hidden
from bot.i18n import Translatable, gettext, ngettext
from bot.settings import Settings
from bot.stores.postgres import connected, load_queries

_FOR_EVENTS = {"view_channel": Translatable("View Channels")}
_FOR_RELAY = {
    "send_messages": Translatable("Send Messages"),
    "embed_links": Translatable("Embed Links"),
    "read_message_history": Translatable("Read Message History"),
}
"""By discord.py's names, as people see them. What sandboxes' own bots do nearly always, with the bot's permissions."""


async def servers(found: Surroundings) -> AsyncIterator[Finding]:
    """What is in order is said of all of them together."""
    pool, logged_in = await found.migrated(), await found.discord.get()
    async with connected(pool) as connection:
        bound = [int(row["guild_id"]) for row in await connection.fetch(load_queries("check")["list_bound_guilds"])]
    asked = bound[: constants.CHECK_GUILDS]

    async def look(guild_id: int) -> list[Finding]:
        return await _look(logged_in, guild_id, found.settings)

    outcomes = await gather_bounded(asked, look, limit=constants.CHECK_GUILDS_AT_A_TIME)
    troubles = [trouble for outcome in outcomes if not isinstance(outcome, BaseException) for trouble in outcome]
    for trouble in troubles:
        yield trouble
    raise_first(outcomes)
    if not troubles:
        yield ok(_all_well(len(asked)))
    if unasked := len(bound) - len(asked):
        yield ok(ngettext(unasked, "{number} more was not asked about.", "{number} more were not asked about."))


def _all_well(count: int) -> str:
    if count == 0:
        return gettext("No server is bound to a sandbox.")
    return ngettext(
        count,
        "The bot is in the {number} server that is bound, and may do there what it needs.",
        "The bot is in the {number} servers that are bound, and may do there what it needs.",
    )


async def _look(logged_in: Application, guild_id: int, settings: Settings) -> list[Finding]:
    client, user = logged_in.client, logged_in.client.user
    assert user is not None
    try:
        guild = await client.fetch_guild(guild_id, with_counts=False)
        member, channels = await guild.fetch_member(user.id), await guild.fetch_channels()
    except (discord.NotFound, discord.Forbidden) as error:
        if not is_refusal(error):
            raise
        return [_absent(guild_id)]
    return [
        *_missing_permissions(guild, member, settings),
        *_hidden(guild, [channel.name for channel in channels if is_hidden(channel, member)]),
        *await _missing_scope(client, guild),
    ]


def _absent(guild_id: int) -> Finding:
    return warning(
        gettext("The bot is not in server {id}, which is bound to a sandbox.", id=guild_id),
        gettext("Invite it there again, or unbind the server: `sandbox-bot sandbox unbind-guild {id}`.", id=guild_id),
    )


def _missing_permissions(guild: discord.Guild, member: discord.Member, settings: Settings) -> Iterable[Finding]:
    needed = _FOR_EVENTS if settings.relay_listen == "off" else {**_FOR_EVENTS, **_FOR_RELAY}
    missing = [gettext(label) for name, label in needed.items() if not getattr(member.guild_permissions, name)]
    if missing:
        yield warning(
            gettext("{guild}: the bot lacks {permissions}.", guild=_name(guild), permissions=", ".join(missing)),
            gettext("Give its role there those permissions."),
        )


def _hidden(guild: discord.Guild, channels: list[str]) -> Iterable[Finding]:
    if channels:
        shown = ", ".join(f"#{name}" for name in channels[: constants.CHECK_NAMED])
        more = len(channels) - constants.CHECK_NAMED
        yield warning(
            gettext(
                "{guild}: the bot does not see {channels}, whose events reach no sandbox.",
                guild=_name(guild),
                channels=shown + (f" (+{more})" if more > 0 else ""),
            ),
            gettext("Let its role see them, if they are to be tested in."),
        )


async def _missing_scope(client: discord.Client, guild: discord.Guild) -> Iterable[Finding]:
    try:
        await client.http.get_guild_commands(client.application_id or 0, guild.id)
    except discord.Forbidden as error:
        if not is_refusal(error):
            raise
        scopes = ("bot", "applications.commands")
        link = discord.utils.oauth_url(client.application_id or 0, scopes=scopes, guild=guild)
        return [
            warning(
                gettext("{guild}: the bot was invited without its commands.", guild=_name(guild)),
                gettext("Open {link}", link=link),
            )
        ]
    return []


async def notices(found: Surroundings) -> AsyncIterator[Finding]:
    """Whether the channel of `notice_channel` takes the bot's messages; nothing if there is none."""
    channel_id = found.settings.discord.notice_channel
    if channel_id is None:
        return
    client = (await found.discord.get()).client
    mend = gettext("Let the bot see the channel and write there, or set discord.notice_channel to another one.")
    try:
        channel = await client.fetch_channel(channel_id)
    except (discord.NotFound, discord.Forbidden, discord.InvalidData) as error:
        if isinstance(error, discord.HTTPException) and not is_refusal(error):
            raise
        yield warning(gettext("The bot does not see the channel for notices, {id}.", id=channel_id), mend)
        return
    if await _may_write(client, channel):
        yield ok(gettext("Notices go to #{channel}.", channel=channel))
    else:
        yield warning(gettext("The bot may not write in the channel for notices, #{channel}.", channel=channel), mend)


async def _may_write(client: discord.Client, channel: object) -> bool:
    """By a guild whose roles are known, which that of a channel fetched alone are not."""
    if not isinstance(channel, discord.abc.GuildChannel) or client.user is None:
        return True
    guild = await client.fetch_guild(channel.guild.id, with_counts=False)
    member, channels = await guild.fetch_member(client.user.id), await guild.fetch_channels()
    allowed = [one.permissions_for(member) for one in channels if one.id == channel.id]
    return all(each.view_channel and each.send_messages for each in allowed)


def _name(guild: discord.Guild) -> str:
    return f"{guild.name} ({guild.id})"
