"""An application's global commands at Discord, one by one: nothing here sends the whole list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import discord
from discord.http import Route

from bot import private_api
from bot.discord_away import FAILURES, unavailable

private_api.verify("discord.py")

type Json = dict[str, Any]

CHAT_INPUT = discord.AppCommandType.chat_input.value

_COMMANDS = "/applications/{application_id}/commands"
_COMMAND = _COMMANDS + "/{command_id}"
_LOCALIZED = ("name_localizations", "description_localizations")
_OF_OPTION = ("min_value", "max_value", "min_length", "max_length", "channel_types")


@dataclass(frozen=True, slots=True)
class GlobalCommand:
    """One as Discord has it."""

    id: int
    data: Json

    @property
    def key(self) -> tuple[int, str]:
        """Kind and name, of which an application has one."""
        return self.data.get("type", CHAT_INPUT), self.data["name"]


class GlobalCommands:
    """Each method is one request. `DiscordUnavailable` says which command it was about, and how Discord answered."""

    def __init__(self, bot: discord.Client) -> None:
        self._bot = bot

    @property
    def application_id(self) -> int:
        """Known from the login on."""
        application_id = self._bot.application_id
        assert application_id is not None
        return application_id

    async def list_all(self) -> list[GlobalCommand]:
        """Everybody's, in all languages."""
        with _named("the commands"):
            found = await self._request("GET", _COMMANDS, params={"with_localizations": "true"})
        return [_read(data) for data in found or ()]

    async def create(self, definition: Json) -> GlobalCommand:
        """One of the same name and kind is replaced: Discord never has two."""
        with _named(f"/{definition['name']}"):
            return _read(await self._request("POST", _COMMANDS, json=definition))

    async def update(self, command_id: int, definition: Json) -> GlobalCommand:
        """Unlike discord.py's own it sends everything, permissions and contexts too. Doesn't count as a creation, of
        which Discord allows 200 a day."""
        with _named(f"/{definition['name']}"):
            return _read(await self._request("PATCH", _COMMAND, command_id=command_id, json=definition))

    async def delete(self, command_id: int, name: str) -> None:
        """Nothing if it is gone already."""
        with _named(f"/{name}"), suppress(discord.NotFound):
            await self._request("DELETE", _COMMAND, command_id=command_id)

    async def _request(self, method: str, path: str, *, command_id: int = 0, **options: Any) -> Any:
        route = Route(method, path, application_id=self.application_id, command_id=command_id)
        return await self._bot.http.request(route, **options)


def is_same(ours: Json, theirs: Json) -> bool:
    """Whether Discord has the command as we define it, whichever defaults it fills in or leaves out."""
    if ours.get("contexts") is None:  # it goes by its own default then, and by what it had before there were contexts
        theirs = {**theirs, "contexts": None}
    else:
        ours, theirs = {**ours, "dm_permission": None}, {**theirs, "dm_permission": None}
    if ours.get("integration_types") is None:
        theirs = {**theirs, "integration_types": None}
    return _normal(ours) == _normal(theirs)


def _normal(command: Mapping[str, Any]) -> Json:
    permissions = command.get("default_member_permissions")
    return _described(command) | {
        "type": command.get("type") or CHAT_INPUT,
        "options": [_normal_option(option) for option in command.get("options") or ()],
        "nsfw": bool(command.get("nsfw")),
        "dm_permission": command.get("dm_permission") is not False,
        "default_member_permissions": None if permissions is None else int(permissions),
        "contexts": sorted(command.get("contexts") or ()),
        "integration_types": sorted(command.get("integration_types") or ()),
    }


def _normal_option(option: Mapping[str, Any]) -> Json:
    given = {key: option[key] for key in _OF_OPTION if option.get(key) not in (None, [])}
    return (
        given
        | _described(option)
        | {
            "type": option["type"],
            "required": bool(option.get("required")),
            "autocomplete": bool(option.get("autocomplete")),
            "choices": [_described(choice) | {"value": choice["value"]} for choice in option.get("choices") or ()],
            "options": [_normal_option(inner) for inner in option.get("options") or ()],
        }
    )


def _described(node: Mapping[str, Any]) -> Json:
    texts = {key: node.get(key) or {} for key in _LOCALIZED}
    return {"name": node["name"], "description": node.get("description") or "", **texts}


def _read(data: Json) -> GlobalCommand:
    return GlobalCommand(int(data["id"]), data)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise unavailable(error, what, service="Discord's registration of commands") from error
