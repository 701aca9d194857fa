"""The application commands that the bot has registered."""

from __future__ import annotations

from collections import Counter, defaultdict

from local_discord.errors import ApiError, unknown
from local_discord.rules import command_rules
from local_discord.wire import Json
from local_discord.world.core import Core

_LOCALIZED = ("name_localizations", "description_localizations")
_EMPTY: tuple[object, ...] = (None, [], {})


class Commands:
    """Those of everywhere (`None`), and those of single guilds; a form that breaks a rule is an `ApiError`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._scopes: defaultdict[int | None, dict[int, Json]] = defaultdict(dict)
        self._created: Counter[int | None] = Counter()
        self._permissions: defaultdict[int, dict[int, list[Json]]] = defaultdict(dict)
        """By guild, and in it by the command's id or the application's, which stands for all of its commands."""
        self.bulk_overwrites = 0
        """How often a whole scope was replaced, successfully."""

    def listing(self, guild_id: int | None) -> list[Json]:
        """The commands of one scope, as the API shows them; none for a guild that has none."""
        return list(self._scopes[guild_id].values())

    def guilds(self) -> dict[int, list[Json]]:
        """By guild id, every guild that a list was ever asked or written for."""
        return {guild_id: self.listing(guild_id) for guild_id in tuple(self._scopes) if guild_id is not None}

    def overwrite(self, guild_id: int | None, forms: object) -> list[Json]:
        """Replace the whole scope; a command that stays keeps its id."""
        checked = command_rules.check_all(forms)
        before = {_key(command): command for command in self.listing(guild_id)}
        self._count_creates(guild_id, sum(_key(form) not in before for form in checked))
        self.bulk_overwrites += 1
        commands = [self._command(form, guild_id, before.get(_key(form))) for form in checked]
        self._scopes[guild_id] = {int(command["id"]): command for command in commands}
        return commands

    def upsert(self, guild_id: int | None, form: object) -> tuple[Json, bool]:
        """The command, and whether it is new: one of the same kind and name is replaced, and keeps its id."""
        checked = command_rules.check(form)
        scope = self._scopes[guild_id]
        earlier = next((command for command in scope.values() if _key(command) == _key(checked)), None)
        command_rules.check_count([*(one for one in scope.values() if one is not earlier), checked])
        self._count_creates(guild_id, int(earlier is None))
        command = self._command(checked, guild_id, earlier)
        scope[int(command["id"])] = command
        return command, earlier is None

    def edit(self, guild_id: int | None, command_id: int, changes: object) -> Json:
        """The command after the changes, which leave alone what they do not name."""
        earlier = self.get(guild_id, command_id)
        if isinstance(changes, dict):
            changes = earlier | changes
        command = self._command(command_rules.check(changes), guild_id, earlier)
        self._scopes[guild_id][command_id] = command
        return command

    def get(self, guild_id: int | None, command_id: int) -> Json:
        """“Unknown application command” if that scope has none with the id."""
        if (command := self._scopes[guild_id].get(command_id)) is None:
            raise unknown("application command")
        return command

    def delete(self, guild_id: int | None, command_id: int) -> None:
        """“Unknown application command” if that scope has none with the id."""
        self.get(guild_id, command_id)
        del self._scopes[guild_id][command_id]

    def find(self, guild_id: int | None, name: str, locale: str, kind: int = command_rules.CHAT_INPUT) -> Json | None:
        """The command of that kind that a person sees in that guild, or in direct messages (None); None if they see
        none.

        A guild's own command hides a global one of that name.
        """
        visible = [*self.listing(guild_id), *self.listing(None)]
        return next((one for one in visible if one["type"] == kind and name in names_in(one, locale)), None)

    def set_permissions(self, guild_id: int, command_id: int, permissions: list[Json]) -> Json:
        """Of one command, or with the application's id of all that have none of their own; what is told of it."""
        self._permissions[guild_id][command_id] = permissions
        told = self.permissions(guild_id, command_id)
        self._core.events.emit("APPLICATION_COMMAND_PERMISSIONS_UPDATE", told, guild_id)
        return told

    def permissions(self, guild_id: int, command_id: int) -> Json:
        """As the API shows them; Discord's “Unknown …” if none are set."""
        if (found := self._permissions[guild_id].get(command_id)) is None:
            raise unknown("application command permissions")
        told: Json = {"id": str(command_id), "application_id": str(self._core.application_id)}
        return told | {"guild_id": str(guild_id), "permissions": found}

    def permissions_in(self, guild_id: int) -> list[Json]:
        """All that are set in a guild."""
        return [self.permissions(guild_id, command_id) for command_id in self._permissions[guild_id]]

    def _count_creates(self, guild_id: int | None, number: int) -> None:
        """What has a name that the scope has already is none."""
        most = self._core.settings.daily_command_creates
        if number and self._created[guild_id] + number > most:
            told = f"Max number of daily application command creates has been reached ({most})"
            raise ApiError(400, 30034, told)
        self._created[guild_id] += number

    def _command(self, form: Json, guild_id: int | None, earlier: Json | None) -> Json:
        snowflakes = self._core.snowflakes
        permissions = form.get("default_member_permissions")
        command: Json = {
            "type": 1,
            "description": "",
            "nsfw": False,
            "contexts": None,
            "dm_permission": True,
            **form,
            **{key: form.get(key) or None for key in _LOCALIZED},
            "integration_types": form.get("integration_types") or [0],
            "options": [_kept_option(option) for option in form.get("options") or []],
            "default_member_permissions": None if permissions is None else str(permissions),
            "id": earlier["id"] if earlier else str(snowflakes.next()),
            "application_id": str(self._core.application_id),
            "version": str(snowflakes.next()),
        }
        return command if guild_id is None else command | {"guild_id": str(guild_id)}


def without_localizations(node: Json) -> Json:
    """A command, or an option or choice of one, as it is shown to whoever did not ask for all languages."""
    shown = {key: value for key, value in node.items() if key not in _LOCALIZED}
    for key in ("options", "choices"):
        if key in shown:
            shown[key] = [without_localizations(one) for one in shown[key]]
    return shown


def names_in(node: Json, locale: str) -> tuple[str, ...]:
    """What a command or an option may be called by whoever speaks that language; it is sent by the first of them."""
    localized = (node.get("name_localizations") or {}).get(locale)
    return (node["name"], localized) if localized else (node["name"],)


def _kept_option(form: Json) -> Json:
    """What says no more than its absence is not shown; a sub-command's options are, also none."""
    kept = {key: value for key, value in form.items() if key == "options" or not (value is False or value in _EMPTY)}
    if "options" in kept:
        kept["options"] = [_kept_option(option) for option in kept["options"] or []]
    return kept


def _key(command: Json) -> tuple[int, str]:
    return command.get("type", 1), command["name"]
