"""Which of the bot's commands a person's client offers."""

from __future__ import annotations

from contextlib import suppress

from local_discord.errors import CommandUsageError
from local_discord.rules.command_permissions import channel_decision, decision
from local_discord.rules.permissions import ALL, BITS
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.threads import Thread
from local_discord.world.users import User
from local_discord.world.world import World


def found_command(world: World, person: User, channel: Channel, name: str, kind: int) -> Json:
    """The command that they may use there; `CommandUsageError` if there is none."""
    command = world.commands.find(channel.guild_id, name, person.locale, kind)
    if command is None or (channel.guild is not None and not channel.guild.has_bot):
        raise CommandUsageError(f"There is no command /{name} here.")
    _check_context(command, channel)
    if channel.guild is not None and not _is_allowed(world, command, person, channel):
        raise CommandUsageError(f"{person.name} may not use /{command['name']} in {channel.guild.name}.", 50013)
    return command


def _check_context(command: Json, channel: Channel) -> None:
    contexts = command["contexts"]
    if channel.guild is None:
        if command["dm_permission"] is False if contexts is None else 1 not in contexts:
            raise CommandUsageError(f"/{command['name']} cannot be used in direct messages.")
    elif contexts is not None and 0 not in contexts:
        raise CommandUsageError(f"/{command['name']} cannot be used in servers.")


def _is_allowed(world: World, command: Json, person: User, channel: Channel) -> bool:
    """What is set for the command stands over what is set for the application, and this over what the command asks."""
    granted = channel.permissions_of(person)
    if granted == ALL:
        return True
    if not granted & BITS["use_application_commands"]:
        return False
    ids = (command["id"], command["application_id"])
    of_command, of_application = (_permissions(world, channel, one) for one in ids)
    place = [_place_decision(one, channel) for one in (of_command, of_application)]
    if next((one for one in place if one is not None), True) is False:
        return False
    own, general = (_person_decision(one, person, channel) for one in (of_command, of_application))
    if own is not None:
        return own
    return general is not False and _has_default(command, granted)


def _permissions(world: World, channel: Channel, command_id: str) -> list[Json]:
    set_here = world.commands.permissions_in(channel.guild_id or 0)
    return next((one["permissions"] for one in set_here if one["id"] == command_id), [])


def _place_decision(permissions: list[Json], channel: Channel) -> bool | None:
    place = channel.parent if isinstance(channel, Thread) else channel
    return channel_decision(permissions, channel.guild_id or 0, place.id)


def _person_decision(permissions: list[Json], person: User, channel: Channel) -> bool | None:
    assert channel.guild is not None
    member = channel.guild.members.get(person.id)
    return decision(permissions, channel.guild.id, person.id, [role.id for role in member.roles] if member else [])


def _has_default(command: Json, granted: int) -> bool:
    """“0” leaves it to administrators."""
    wanted = command["default_member_permissions"]
    return wanted != "0" and granted & int(wanted or 0) == int(wanted or 0)


def offered_commands(world: World, person: User, channel: Channel) -> list[Json]:
    """All that their client offers there, of every kind; a guild's own stands before a global one of its name."""
    offered: dict[tuple[int, str], Json] = {}
    for command in [*world.commands.listing(channel.guild_id), *world.commands.listing(None)]:
        with suppress(CommandUsageError):
            found = found_command(world, person, channel, command["name"], command["type"])
            offered.setdefault((found["type"], found["name"]), found)
    return list(offered.values())
