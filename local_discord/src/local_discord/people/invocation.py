"""How Discord's client turns what a person types after the slash into an interaction's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_discord.errors import CommandUsageError
from local_discord.people.finding import found_command
from local_discord.people.option_values import converted, type_of
from local_discord.people.resolving import Resolver
from local_discord.rules.command_rules import CHAT_INPUT, GROUP, SUBCOMMAND
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.commands import names_in
from local_discord.world.users import User
from local_discord.world.world import World


class Invocation:
    """One person, one place, one command; `CommandUsageError` for what the client would refuse."""

    def __init__(self, world: World, person: User, channel: Channel, path: str) -> None:
        self._path = path
        self._locale = person.locale
        self._resolver = Resolver(world, person, channel)
        name, *self._steps = path.removeprefix("/").split()
        self._command = command = found_command(world, person, channel, name, CHAT_INPUT)
        self._leaf = self._descend(command)

    def data(self, named: Mapping[str, Any]) -> Json:
        """Complete and checked, as it is sent with Enter."""
        given = self._matched(named)
        values = [self._value(option, given) for option in self._options() if option["name"] in given]
        missing = [one["name"] for one in self._options() if one.get("required") and one["name"] not in given]
        if missing:
            raise CommandUsageError(f"/{self._path} needs {', '.join(missing)}.")
        return self._resolver.into(self._wrap(values))

    def autocomplete_data(self, named: Mapping[str, Any], focused: str) -> Json:
        """As it is sent while typing: neither complete nor checked."""
        given = self._matched({focused: "", **named})
        (focused_name,) = self._matched({focused: ""})
        values = []
        for option in self._options():
            if option["name"] == focused_name:
                if not option.get("autocomplete"):
                    raise CommandUsageError(f"{focused} has no autocomplete.")
                typed = str(given[focused_name])
                values.append({"name": focused_name, "type": option["type"], "value": typed, "focused": True})
            elif option["name"] in given:
                values.append(self._value(option, given))
        return self._resolver.into(self._wrap(values))

    def _descend(self, node: Json) -> Json:
        for step in self._steps:
            known = [one for one in node["options"] if one["type"] in (SUBCOMMAND, GROUP)]
            found = [one for one in known if step in names_in(one, self._locale)]
            if not found:
                raise CommandUsageError(f"/{self._path}: there is no sub-command {step}.")
            node = found[0]
        if any(option["type"] in (SUBCOMMAND, GROUP) for option in node.get("options") or ()):
            raise CommandUsageError(f"/{self._path} needs a sub-command.")
        return node

    def _options(self) -> list[Json]:
        return self._leaf.get("options") or []

    def _matched(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """By the options' own names; None means left out, and a dash may be written as an underscore."""
        names = {
            called.replace("-", "_"): option["name"]
            for option in self._options()
            for called in names_in(option, self._locale)
        }
        matched: dict[str, Any] = {}
        for name, value in named.items():
            if (found := names.get(name.replace("-", "_"))) is None:
                raise CommandUsageError(f"/{self._path} has no option {name}.")
            if value is not None:
                matched[found] = value
        return matched

    def _value(self, option: Json, given: Mapping[str, Any]) -> Json:
        value = converted(option, given[option["name"]], self._resolver)
        return {"name": option["name"], "type": option["type"], "value": value}

    def _wrap(self, options: list[Json]) -> Json:
        node, nodes = self._command, []
        for step in self._steps:
            node = next(one for one in node["options"] if step in names_in(one, self._locale))
            nodes.append(node)
        for node in reversed(nodes):
            options = [{"name": node["name"], "type": node["type"], "options": options}]
        data: Json = {"id": self._command["id"], "name": self._command["name"], "type": 1, "options": options}
        if "guild_id" in self._command:
            data["guild_id"] = self._command["guild_id"]
        return data


def foreign_data(world: World, person: User, channel: Channel, name: str, named: Mapping[str, Any]) -> Json:
    """A command nobody has described here: its options are typed by their values."""
    if world.commands.find(channel.guild_id, name, person.locale) is not None:
        raise CommandUsageError(f"/{name} is a command of the bot.")
    resolver = Resolver(world, person, channel)
    options = [
        {"name": key, "type": kind, "value": converted({"name": key, "type": kind}, value, resolver)}
        for key, value in named.items()
        for kind in [type_of(value)]
    ]
    return resolver.into({"id": str(world.core.snowflakes.next()), "name": name, "type": 1, "options": options})
