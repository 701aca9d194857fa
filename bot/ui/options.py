"""Options of the commands: what is typed becomes a sandbox, a duration or a server, with suggestions on the way."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from discord.app_commands import Choice, Transform, Transformer, locale_str
from loguru import logger

from bot import answering, constants, names
from bot.client import Interaction, SandboxBot
from bot.durations import format_duration, parse_duration
from bot.errors import InvalidInput, SandboxError
from bot.explanations import DISCORD_FAILURES
from bot.i18n import gettext
from bot.sandboxes.metadata import read_tags
from bot.sandboxes.model import Sandbox, SandboxStatus
from bot.ui.guild_permissions import ManagedGuilds
from sandbox_worker.standard_names import DatabaseForm, NameSet

SANDBOX = "sandbox"
"""The key of an interaction's extras that holds the id of the sandbox it is about."""

AnyChoice = Choice[str | int | float]

_USUAL_DURATIONS = ("1h", "4h", "8h", "24h", "3d", "7d")


class SuggestingTransformer(Transformer[SandboxBot]):
    """An option with suggestions, of which there are none when a service does not answer."""

    async def suggest(self, interaction: Interaction, value: str) -> list[AnyChoice]:
        """For what is typed so far; for nobody in particular, so that whatever is shown may be seen by the asker."""
        raise NotImplementedError

    async def autocomplete(self, interaction: Interaction, value: str | float, /) -> list[AnyChoice]:
        """What `suggest` finds is answered already, so that discord.py answers nothing."""
        try:
            choices = await self.suggest(interaction, str(value))
        except (SandboxError, *DISCORD_FAILURES, OSError) as error:
            logger.debug("no suggestions", error=repr(error))
            choices = []
        await answering.suggest(interaction, choices)
        return choices


class SandboxTransformer(SuggestingTransformer):
    """A living sandbox of the asker's, by name, id or short id; an admin means anybody's."""

    async def transform(self, interaction: Interaction, value: Any, /) -> Sandbox:
        """`SandboxNotFound`, or `NotAllowed` for somebody else's."""
        return await self._find(interaction, str(value))

    async def suggest(self, interaction: Interaction, value: str) -> list[AnyChoice]:
        """The asker's own first."""
        bot = interaction.client
        found = await bot.manager.suggest(bot.actor(interaction.user), value, limit=constants.CHOICES)
        return [Choice(name=f"{sandbox.name} · {gettext(sandbox.status)}", value=sandbox.handle) for sandbox in found]

    async def _find(self, interaction: Interaction, wanted: str, *, destroyed: bool = False) -> Sandbox:
        """Remembered with the interaction: a command that succeeds is activity of its sandbox."""
        bot = interaction.client
        sandbox = await bot.manager.find(bot.actor(interaction.user), wanted, destroyed=destroyed)
        interaction.extras[SANDBOX] = sandbox.id
        return sandbox


class AnySandboxTransformer(SandboxTransformer):
    """The same, and by its id also one that is destroyed."""

    async def transform(self, interaction: Interaction, value: Any, /) -> Sandbox:
        return await self._find(interaction, str(value), destroyed=True)


class StatusTransformer(Transformer[SandboxBot]):
    """One of the states of a sandbox."""

    @property
    def choices(self) -> list[AnyChoice]:
        """Fixed, so that Discord shows them and sends back no other."""
        return [Choice(name=locale_str(status), value=str(status)) for status in SandboxStatus]

    async def transform(self, interaction: Interaction, value: Any, /) -> SandboxStatus:
        return SandboxStatus(value)


class ChoiceTransformer[C: StrEnum](Transformer[SandboxBot]):
    """One of a few words, which are the same in every language."""

    def __init__(self, words: type[C]) -> None:
        self._words = words

    @property
    def choices(self) -> list[AnyChoice]:
        """As of `StatusTransformer`."""
        return [Choice(name=word, value=str(word)) for word in self._words]

    async def transform(self, interaction: Interaction, value: Any, /) -> C:
        return self._words(value)


class DurationTransformer(SuggestingTransformer):
    """A duration such as `45m` or `1d12h`."""

    async def transform(self, interaction: Interaction, value: Any, /) -> timedelta:
        """`InvalidInput` says how a duration is written."""
        return parse_duration(str(value))

    async def suggest(self, interaction: Interaction, value: str) -> list[AnyChoice]:
        """What is typed, as the bot understands it; before it is understood, usual durations that begin so."""
        typed = value
        try:
            understood = [format_duration(parse_duration(typed))]
        except InvalidInput:
            understood = [usual for usual in _USUAL_DURATIONS if usual.startswith(typed.strip())]
        return [Choice(name=duration, value=duration) for duration in understood]


class TagsTransformer(Transformer[SandboxBot]):
    """Tags such as `team=red, ticket=7`."""

    async def transform(self, interaction: Interaction, value: Any, /) -> dict[str, str]:
        """`InvalidInput` says how a tag is written, or which limit was hit."""
        return read_tags(str(value).split(","))


class GuildTransformer(SuggestingTransformer):
    """A server's id; suggests the servers that the asker manages."""

    def __init__(self) -> None:
        self._managed = ManagedGuilds()

    async def transform(self, interaction: Interaction, value: Any, /) -> int:
        """`InvalidInput` if it is no id. Whether the asker may bind that server is the command's to ask."""
        return names.check_snowflake(str(value), "server id")

    async def suggest(self, interaction: Interaction, value: str) -> list[AnyChoice]:
        """By name or id; the server where it is typed first."""
        guilds = await self._managed.search(interaction, value, limit=constants.CHOICES)
        return [_choice(guild.name, guild.id) for guild in guilds]


class BoundGuildTransformer(GuildTransformer):
    """A server's id; suggests the servers that are bound to the asker's sandboxes."""

    async def suggest(self, interaction: Interaction, value: str) -> list[AnyChoice]:
        """With the sandbox that each is bound to."""
        bot = interaction.client
        owned = await bot.manager.list(owner_id=interaction.user.id)
        known = {guild.id: guild.name for guild in await self._managed.all(bot)}
        choices = [
            _choice(f"{known.get(guild_id, guild_id)} → {sandbox.name}", guild_id)
            for sandbox in owned
            for guild_id in sandbox.guild_ids
        ]
        typed = value.strip().lower()
        return [choice for choice in choices if typed in choice.name.lower()][: constants.CHOICES]


def _choice(name: str, guild_id: int) -> AnyChoice:
    """Discord takes 100 characters of a name, and integers only up to 2^53, so that an id is a text."""
    return Choice(name=name[:100], value=str(guild_id))


if TYPE_CHECKING:
    SandboxOption = Sandbox
    AnySandboxOption = Sandbox
    StatusOption = SandboxStatus
    DurationOption = timedelta
    TagsOption = dict[str, str]
    GuildOption = int
    BoundGuildOption = int
    NameSetOption = NameSet
    DatabaseFormOption = DatabaseForm
else:
    SandboxOption = Transform[Sandbox, SandboxTransformer]
    AnySandboxOption = Transform[Sandbox, AnySandboxTransformer]
    StatusOption = Transform[SandboxStatus, StatusTransformer]
    DurationOption = Transform[timedelta, DurationTransformer]
    TagsOption = Transform[dict[str, str], TagsTransformer]
    GuildOption = Transform[int, GuildTransformer]
    BoundGuildOption = Transform[int, BoundGuildTransformer]
    NameSetOption = Transform[NameSet, ChoiceTransformer(NameSet)]
    DatabaseFormOption = Transform[DatabaseForm, ChoiceTransformer(DatabaseForm)]
