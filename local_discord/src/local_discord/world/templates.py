"""Templates: what a guild looks like, kept under a code so that others could be made like it."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_urlsafe

from local_discord.errors import unknown
from local_discord.wire import Json
from local_discord.world.guilds import Guild
from local_discord.world.users import User

_OF_GUILDS = (
    "description verification_level default_message_notifications explicit_content_filter preferred_locale "
    "afk_timeout system_channel_flags"
).split()
_OF_ROLES = "name permissions color colors hoist mentionable icon unicode_emoji".split()


@dataclass(eq=False)
class Template:
    """Shows the guild as it was when it was made, or synchronised since."""

    guild: Guild
    name: str
    description: str | None
    creator: User
    created_at: str
    code: str = field(default_factory=lambda: token_urlsafe(9))
    updated_at: str = ""
    snapshot: Json = field(default_factory=dict)

    def sync(self, now: str) -> None:
        """Take over what the guild looks like now."""
        self.snapshot, self.updated_at = _snapshot(self.guild), now

    def payload(self) -> Json:
        """As the API shows it; `is_dirty` says whether the guild looks different by now."""
        return {
            "code": self.code,
            "name": self.name,
            "description": self.description,
            "usage_count": 0,
            "creator_id": str(self.creator.id),
            "creator": self.creator.payload(),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "source_guild_id": str(self.guild.id),
            "serialized_source_guild": self.snapshot,
            "is_dirty": True if self.snapshot != _snapshot(self.guild) else None,
        }


class Templates:
    """Those of every guild; each has at most one."""

    def __init__(self) -> None:
        self._by_code: dict[str, Template] = {}

    def add(self, template: Template) -> None:
        """From now on it is found by its code."""
        template.sync(template.created_at)
        self._by_code[template.code] = template

    def of(self, guild: Guild) -> list[Template]:
        """The guild's."""
        return [one for one in self._by_code.values() if one.guild is guild]

    def get(self, code: str, guild: Guild | None = None) -> Template:
        """“Unknown guild template” for a code that stands for none, or for none of that guild."""
        template = self._by_code.get(code)
        if template is None or guild not in (None, template.guild):
            raise unknown("guild template")
        return template

    def remove(self, template: Template) -> None:
        """Its code stands for nothing any more."""
        del self._by_code[template.code]


def _snapshot(guild: Guild) -> Json:
    """Ids are numbers that count from 0, for whatever is made of it gets its own."""
    numbers = {str(one): index for index, one in enumerate([*guild.roles, *guild.channels])}
    roles = [
        {"id": numbers[str(role.id)], **{key: role.payload()[key] for key in _OF_ROLES}}
        for role in guild.roles.values()
    ]
    shown = {key: guild.details[key] for key in _OF_GUILDS} | {"name": guild.name, "region": None}
    shown |= {key: numbers.get(str(guild.details[key])) for key in ("afk_channel_id", "system_channel_id")}
    return shown | {"roles": roles, "channels": _channels(guild, numbers)}


def _channels(guild: Guild, numbers: dict[str, int]) -> list[Json]:
    found = []
    for channel in guild.channels.values():
        shown = channel.payload()
        overwrites = [one | {"id": numbers[one["id"]]} for one in shown["permission_overwrites"] if one["type"] == 0]
        own = {"id": numbers[shown["id"]], "parent_id": numbers.get(str(shown["parent_id"]))}
        kept = {key: value for key, value in shown.items() if key not in ("guild_id", "last_message_id", "flags")}
        found.append(kept | own | {"permission_overwrites": overwrites})
    return found
