"""The Discord client and its command tree: the one place where an error becomes a reply."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp
import discord
from discord import app_commands
from discord.ext import commands
from loguru import logger

from bot import answering, constants, names, request
from bot.answering import Answer
from bot.clock import StampedClock
from bot.custom_ids import CustomIds
from bot.explanations import cause, explain, is_of_discord, outcome
from bot.i18n import COMMAND_NAME, activate_locale, gettext, translations
from bot.interaction_counts import InteractionCounts
from bot.own_messages import OwnMessages
from bot.routing.leases import Shards
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.lifecycle.reaper import Reaper
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import Actor
from bot.silence import SilenceLimit

COGS = ("bot.cogs.sandbox_group", "bot.cogs.admin_group", "bot.cogs.dm_help")


class SandboxBot(commands.AutoShardedBot):
    """Keeps no members and no messages: the sandboxes' workers get the events, this bot its commands."""

    def __init__(
        self,
        manager: SandboxManager,
        reaper: Reaper,
        orphans: OrphanCollector,
        *,
        custom_ids: CustomIds,
        own_messages: OwnMessages,
        intents: discord.Intents,
        admins: Iterable[int] = (),
        shard_count: int = 0,
        shard_ids: Sequence[int] = (),
    ) -> None:
        """Without a count it has as many shards as Discord recommends, without ids it runs all of them."""
        self.silence, self.discord_clock = SilenceLimit(), StampedClock()
        self.discord_clock.follow(self.silence.trace)
        super().__init__(
            http_trace=self.silence.trace,
            shard_count=shard_count or None,
            shard_ids=list(shard_ids) or None,  # type: ignore[arg-type]  # None is its default
            command_prefix=commands.when_mentioned,
            help_command=None,
            tree_cls=SandboxTree,
            intents=intents,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.manager, self.reaper, self.orphans = manager, reaper, orphans
        self.custom_ids, self.own_messages = custom_ids, own_messages
        self.admins, self.interaction_counts = frozenset(admins), InteractionCounts()
        self._answering: set[asyncio.Task[Any]] = set()
        self._logged_in, self._launchable = asyncio.Event(), asyncio.Event()
        self._begun: deque[int] = deque(maxlen=constants.INTERACTIONS_REMEMBERED)

    async def setup_hook(self) -> None:
        """Knows its admins and has its cogs before it connects; a broken cog stops the start."""
        if not self.admins:
            self.admins = await self._application_admins()
        await self.tree.set_translator(CommandTranslator())
        for cog in COGS:
            await self.load_extension(cog)
        known = [each for each in self.tree.walk_commands() if isinstance(each, app_commands.Command)]
        self.interaction_counts.expect(command.qualified_name for command in known)
        self._logged_in.set()

    async def find_shards(self) -> Shards:
        """What this process is to run, once it is logged in; Discord is asked where the settings do not say how many
        there are. One of `discord_away.FAILURES` if it does not say."""
        await self._logged_in.wait()
        if self.shard_count is None:
            self.shard_count, _, _ = await self.http.get_bot_gateway()
        return Shards(self.application_id or 0, self.shard_count, tuple(self.shard_ids or range(self.shard_count)))

    async def launch_shards(self) -> None:
        """In place of discord.py's own, which connects them all: the launcher does so as their leases are held."""
        shards = await self.find_shards()
        self._connection.shard_count, self._connection.shard_ids = shards.total, list(shards.ids)
        self._launchable.set()

    async def wait_launchable(self) -> None:
        """Returns when `launch` may be called."""
        await self._launchable.wait()

    async def launch(self, shard_id: int) -> None:
        """Connect a shard, however often that takes; discord.py keeps it connected from then on."""
        await self.launch_shard(discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY, shard_id, initial=not self.shards)

    async def disconnect(self, shard_id: int) -> None:
        """Close its connection, if it has one, so that Discord keeps the session."""
        if (shard := self.get_shard(shard_id)) is not None:
            await shard.disconnect()

    @property
    def connected_shards(self) -> set[int]:
        """Those of this process that are connected just now; none in a standby."""
        return {shard_id for shard_id, shard in self.shards.items() if not shard.is_closed()}

    async def _application_admins(self) -> frozenset[int]:
        application = await self.application_info()
        if application.team is None:
            return frozenset({application.owner.id})
        accepted = discord.TeamMembershipState.accepted
        return frozenset(member.id for member in application.team.members if member.membership_state is accepted)

    def begin_answer(self, interaction: discord.Interaction[Any]) -> Answer | None:
        """The task that is running answers it, in the asker's language: `finish` waits for it.

        None if another task of this process does, or has: Discord sends it again after a RESUME from before it.
        """
        if interaction.id in self._begun:
            logger.debug("an interaction has come again")
            return None
        self._begun.append(interaction.id)
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        activate_locale(interaction.locale.value)
        answer = answering.begin(interaction, self.own_messages)
        self.interaction_counts.follow(interaction, answer, task)
        return answer

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Of every interaction with the bot itself, before anything is done for it."""
        self.interaction_counts.came(interaction)

    async def finish(self, timeout: float) -> None:
        """Waits for the answers that are under way, at most `timeout` seconds; none is cancelled."""
        if self._answering:
            await asyncio.wait(self._answering, timeout=timeout)

    async def reset_http(self) -> None:
        """After a login that failed, so that the next one may make a session of its own."""
        await self.http.close()
        self.http.connector = discord.utils.MISSING

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """What fails in an event's listeners: trouble of a service is one line, a bug comes with its traceback."""
        error = sys.exception()
        if error is None or explain(error) is None:
            await super().on_error(event_method, *args, **kwargs)
        else:
            logger.warning("an event was not looked after", of=event_method, error=repr(error))

    def abort(self) -> None:
        """Closes every connection to Discord as it is, the gateway's too, where `close` takes too long."""
        if isinstance(self.http.connector, aiohttp.BaseConnector):  # otherwise it has never logged in
            self._aborting = asyncio.ensure_future(self.http.connector.close())

    def actor(self, user: discord.abc.User) -> Actor:
        """Who the manager is to think acts: an admin if the settings or the application's team say so. What they ask
        for by the interaction that this task answers is done once, whichever processes get it."""
        asked = request.current()
        return Actor(user.id, user.name, user.id in self.admins, idempotency_key=asked.id if asked else None)


Interaction = discord.Interaction[SandboxBot]


class CommandTranslator(app_commands.Translator):
    """What Discord is told that commands and options are called in other languages. Interactions keep the English."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """None where there is no translation, so that Discord shows the English."""
        known, text = translations(locale.value), string.message
        is_name = context.location.name in {"command_name", "group_name", "parameter_name"}
        translated = known.pgettext(COMMAND_NAME, text) if is_name else known.gettext(text)
        return translated if translated != text else None


class SandboxTree(app_commands.CommandTree[SandboxBot]):
    """The one handler of commands' errors, so that a cog has none of its own."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Lets pass what is to be answered; it runs first of all that answers a command, in the same task."""
        answer = self.client.begin_answer(interaction)
        return answer is not None and await answer.is_wanted()

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError) -> None:
        """Answers with the error's sentence, or with a reference to the log; never raises."""
        await report(interaction, error)


async def report(interaction: Interaction, error: BaseException) -> None:
    """Tell the user what an expected failure says, or the reference under which a bug stands in the log."""
    text = explain(error)
    answer = answering.of(interaction)
    answer.outcome = outcome(error)
    if is_of_discord(cause(error)):
        logger.warning("Discord failed", error=repr(cause(error)))
    if text is None:
        reference = names.random_suffix(8)
        logger.opt(exception=error).error("interaction failed", reference=reference)
        text = gettext(
            "That failed, and it is the bot's fault. Tell an admin the reference `{reference}`: it is in the log.",
            reference=reference,
        )
    await answer.fail(text)


def chosen_intents(privileged: Sequence[str]) -> discord.Intents:
    """Everything that needs no approval, and the `privileged` ones: members, message_content, presences."""
    intents = discord.Intents.default()
    for name in privileged:
        setattr(intents, name, True)
    return intents


def invite_link(bot: SandboxBot) -> str:
    """Where somebody with Manage Server adds the bot to a server."""
    return discord.utils.oauth_url(bot.application_id or 0, scopes=("bot", "applications.commands"))
