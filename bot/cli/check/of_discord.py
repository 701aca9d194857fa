"""Discord: the application as Discord has it, and what it will not let the bot do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from bot import constants
from bot.cli.check.clocks import compare
from bot.cli.check.surroundings import Application, Surroundings
from bot.durations import format_duration
from bot.findings import Cause, Finding, failure, ok, warning
from bot.i18n import gettext, ngettext
from bot.relay.gateway.intents import APPROVED

_LARGE = {"presences": 1 << 12, "members": 1 << 14, "message_content": 1 << 18}
"""The application's flags of intents that Discord has approved for more servers than an unverified one may be in."""


async def application(found: Surroundings) -> AsyncIterator[Finding]:
    """Whom the token belongs to."""
    logged_in = await found.discord.wait()
    yield ok(
        gettext(
            "Discord answers; the token is that of {user}, application {id}.",
            user=logged_in.client.user,
            id=logged_in.client.application_id,
        )
    )


async def clock(found: Surroundings) -> AsyncIterator[Finding]:
    """This machine's, by the dates of Discord's answers. Nothing is decided by it."""
    gap = (await found.discord.get()).headers.gap
    mend = gettext("Let NTP set it. The bot decides nothing by it; its log and certificates go by it.")
    yield compare("Discord", gap, gettext("this machine"), mend)


async def intents(found: Surroundings) -> AsyncIterator[Finding]:
    """Discord closes the gateway for good on a bot that asks for one that is not approved."""
    flags, chosen = (await found.discord.get()).info.flags.value, found.settings.discord.privileged_intents
    if missing := [name for name in chosen if not flags & APPROVED[name]]:
        yield failure(
            gettext(
                "discord.privileged_intents: Discord has not approved {names} for the application.",
                names=", ".join(missing),
            ),
            gettext("Enable them in the developer portal under Bot, or take them out."),
            Cause.CONFIGURATION,
        )
    else:
        names = ", ".join(chosen) or gettext("none")
        yield ok(gettext("The privileged intents that the bot asks for are approved: {names}.", names=names))
    if unused := [name for name, approved in APPROVED.items() if flags & approved and name not in chosen]:
        yield ok(gettext("Approved, and not asked for: {names}.", names=", ".join(unused)))


async def verification(found: Surroundings) -> AsyncIterator[Finding]:
    """In how many servers Discord lets the application be without having looked at it."""
    logged_in = await found.discord.get()
    guilds = logged_in.info.approximate_guild_count
    if _is_verified(logged_in):
        yield ok(
            ngettext(guilds, "It is verified, and in {number} server.", "It is verified, and in {number} servers.")
        )
        async for finding in _approved_for_many(found, logged_in):
            yield finding
    elif guilds < constants.CHECK_VERIFIABLE_FROM_GUILDS:
        yield ok(
            ngettext(
                guilds,
                "It is in {number} server, and has to be verified for more than {most}.",
                "It is in {number} servers, and has to be verified for more than {most}.",
                most=constants.CHECK_UNVERIFIED_GUILDS,
            )
        )
    else:
        yield _unverified(guilds)


def _unverified(guilds: int) -> Finding:
    most = constants.CHECK_UNVERIFIED_GUILDS
    mend = gettext("Have it verified in the developer portal, with the privileged intents; that takes weeks.")
    if guilds >= most:
        return failure(
            gettext("It is in {guilds} servers and not verified: nobody can add it to another one.", guilds=guilds),
            mend,
        )
    return warning(
        gettext(
            "It is in {guilds} servers and not verified: from {most} on nobody can add it to another one.",
            guilds=guilds,
            most=most,
        ),
        mend,
    )


async def _approved_for_many(found: Surroundings, logged_in: Application) -> AsyncIterator[Finding]:
    flags, chosen = logged_in.info.flags.value, found.settings.discord.privileged_intents
    if missing := [name for name in chosen if not flags & _LARGE[name]]:
        yield warning(
            gettext(
                "{names}: approved for fewer than {most} servers alone.",
                names=", ".join(missing),
                most=constants.CHECK_UNVERIFIED_GUILDS,
            ),
            gettext("Apply for them in the developer portal."),
        )


def _is_verified(logged_in: Application) -> bool:
    user = logged_in.client.user
    return user is not None and user.public_flags.verified_bot


async def sessions(found: Surroundings) -> AsyncIterator[Finding]:
    """How many shards Discord wants, and how many sessions it lets the bot begin today."""
    logged_in, chosen = await found.discord.get(), found.settings.discord
    recommended, _, left = await logged_in.client.http.get_bot_gateway()
    shards, guilds = chosen.shard_count or recommended, logged_in.info.approximate_guild_count
    if guilds > shards * constants.CHECK_MOST_GUILDS_A_SHARD:
        yield failure(
            gettext(
                "discord.shard_count is {shards}: Discord takes {most} servers a shard at most, and the bot is in "
                "{guilds}.",
                shards=shards,
                most=constants.CHECK_MOST_GUILDS_A_SHARD,
                guilds=guilds,
            ),
            gettext("Set it to {recommended}, or leave it out.", recommended=recommended),
            Cause.CONFIGURATION,
        )
    if left["remaining"] < shards:
        pause = format_duration(timedelta(milliseconds=left["reset_after"]))
        yield warning(
            gettext(
                "Discord lets the bot begin {remaining} sessions until {pause} from now, and it has {shards} shards.",
                remaining=left["remaining"],
                pause=pause,
                shards=shards,
            ),
            gettext("Do not stop it: one that goes on with its sessions begins none."),
        )
    else:
        yield ok(
            gettext(
                "Shards: {shards}. Sessions that may still be begun today: {remaining} of {total}.",
                shards=shards,
                remaining=left["remaining"],
                total=left["total"],
            )
        )
