"""The values of a command's options, as a person gives them and as the client sends them."""

from __future__ import annotations

from typing import Any

from local_discord.errors import CommandUsageError
from local_discord.people.resolving import Resolver
from local_discord.rules.command_rules import ATTACHMENT, BOOLEAN, CHANNEL, INTEGER, NUMBER, PERSON, ROLE, STRING
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.memberships import Role

_LARGEST_INTEGER = 2**53


def type_of(value: object) -> int:
    """The kind of option that takes such a value; people are what is left."""
    kinds = {str: STRING, bool: BOOLEAN, int: INTEGER, float: NUMBER, Channel: CHANNEL, Role: ROLE, tuple: ATTACHMENT}
    return kinds.get(type(value), PERSON)


def converted(option: Json, value: Any, resolver: Resolver) -> Any:
    """The value as it is sent for that option; `CommandUsageError` for one that the client would not let through."""
    name, kind = option["name"], option["type"]
    if option.get("choices"):
        return _chosen(option, value)
    match kind:
        case 3 if isinstance(value, str):
            return _within(option, value, len(value), "length")
        case 4 if type(value) is int and abs(value) <= _LARGEST_INTEGER:
            return _within(option, value, value, "value")
        case 10 if type(value) in (int, float):
            return _within(option, value, value, "value")
        case 5 if isinstance(value, bool):
            return value
        case 6 | 7 | 8 | 9 | 11:
            return resolver.pick(value, kind)
        case _:
            raise CommandUsageError(f"{name} does not take {value!r}.")


def _chosen(option: Json, value: Any) -> Any:
    for choice in option["choices"]:
        if value in (choice["name"], choice["value"]):
            return choice["value"]
    raise CommandUsageError(f"{value!r} is no choice of {option['name']}.")


def _within(option: Json, value: Any, size: float, what: str) -> Any:
    least, most = option.get(f"min_{what}"), option.get(f"max_{what}")
    if least is not None and size < least:
        raise CommandUsageError(f"The {what} of {option['name']} must be {least} or more.")
    if most is not None and size > most:
        raise CommandUsageError(f"The {what} of {option['name']} must be {most} or less.")
    return value
