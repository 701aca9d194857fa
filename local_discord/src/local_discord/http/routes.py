"""Every operation that is served."""

from __future__ import annotations

from local_discord.http.channel_routes import ChannelRoutes
from local_discord.http.command_routes import CommandRoutes
from local_discord.http.frame import Handler
from local_discord.http.guild_routes import GuildRoutes
from local_discord.http.interaction_routes import InteractionRoutes
from local_discord.http.invite_routes import InviteRoutes
from local_discord.http.member_routes import MemberRoutes
from local_discord.http.message_routes import MessageRoutes
from local_discord.http.operations import OPERATIONS
from local_discord.http.pin_routes import PinRoutes
from local_discord.http.poll_routes import PollRoutes
from local_discord.http.reaction_routes import ReactionRoutes
from local_discord.http.role_routes import RoleRoutes
from local_discord.http.shelf_routes import ShelfRoutes
from local_discord.http.stage_routes import StageRoutes
from local_discord.http.thread_routes import ThreadRoutes
from local_discord.http.user_routes import UserRoutes
from local_discord.http.webhook_routes import WebhookRoutes
from local_discord.world.application import Application
from local_discord.world.world import World

_GROUPS = (
    GuildRoutes,
    ChannelRoutes,
    ThreadRoutes,
    MessageRoutes,
    PinRoutes,
    ReactionRoutes,
    PollRoutes,
    MemberRoutes,
    RoleRoutes,
    InviteRoutes,
    WebhookRoutes,
    ShelfRoutes,
    StageRoutes,
    CommandRoutes,
)


def handlers(world: World, application: Application) -> dict[str, Handler]:
    """By the name of the operation."""
    interactions = InteractionRoutes(world)
    found = UserRoutes(world, application).table()
    for group in _GROUPS:
        found |= group(world).table()
    found |= interactions.table()
    assert found.keys() <= OPERATIONS.keys(), found.keys() - OPERATIONS.keys()
    return found
