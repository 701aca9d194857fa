"""A command of the menu that opens on a message or on somebody."""

from __future__ import annotations

from local_discord.people.finding import found_command
from local_discord.people.resolving import Resolver
from local_discord.rules.command_rules import MESSAGE, PERSON, USER
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message
from local_discord.world.users import User
from local_discord.world.world import World


def context_data(world: World, person: User, channel: Channel, name: str, target: Message | User) -> Json:
    """The data of the interaction; `CommandUsageError` if the menu has no such command there."""
    kind = MESSAGE if isinstance(target, Message) else USER
    command = found_command(world, person, channel, name, kind)
    resolver = Resolver(world, person, channel)
    if isinstance(target, Message):
        resolver.add_message(target)
    else:
        resolver.pick(target, PERSON)
    data: Json = {"id": command["id"], "name": command["name"], "type": kind, "target_id": str(target.id)}
    return resolver.into(data | ({"guild_id": command["guild_id"]} if "guild_id" in command else {}))
