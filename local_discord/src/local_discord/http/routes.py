"""Every operation that is served."""

from __future__ import annotations

from local_discord.http.application_routes import ApplicationRoutes
from local_discord.http.audit_log_routes import AuditLogRoutes
from local_discord.http.ban_routes import BanRoutes
from local_discord.http.channel_routes import ChannelRoutes
from local_discord.http.command_routes import CommandRoutes
from local_discord.http.entitlement_routes import EntitlementRoutes
from local_discord.http.event_routes import EventRoutes
from local_discord.http.frame import Handler
from local_discord.http.guild_page_routes import GuildPageRoutes
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
from local_discord.http.template_routes import TemplateRoutes
from local_discord.http.thread_routes import ThreadRoutes
from local_discord.http.user_routes import UserRoutes
from local_discord.http.voice_routes import VoiceRoutes
from local_discord.http.webhook_routes import WebhookRoutes
from local_discord.world.application import Application
from local_discord.world.world import World

_GROUPS = (
    UserRoutes,
    GuildRoutes,
    GuildPageRoutes,
    TemplateRoutes,
    AuditLogRoutes,
    ChannelRoutes,
    ThreadRoutes,
    MessageRoutes,
    PinRoutes,
    ReactionRoutes,
    PollRoutes,
    MemberRoutes,
    BanRoutes,
    RoleRoutes,
    InviteRoutes,
    WebhookRoutes,
    ShelfRoutes,
    EventRoutes,
    StageRoutes,
    VoiceRoutes,
    CommandRoutes,
    EntitlementRoutes,
)


ALWAYS_THE_SAME = frozenset(
    {
        "GET /guilds/{guild_id}/integrations",
        "GET /guilds/{guild_id}/regions",
        "GET /guilds/{guild_id}/vanity-url",
        "GET /guilds/{guild_id}/voice-states/@me",
        "GET /guilds/{guild_id}/voice-states/{user_id}",
        "GET /soundboard-default-sounds",
        "GET /sticker-packs",
        "GET /sticker-packs/{pack_id}",
        "GET /voice/regions",
        "PATCH /guilds/{guild_id}/voice-states/@me",
        "PATCH /guilds/{guild_id}/voice-states/{user_id}",
        "PUT /applications/{application_id}/guilds/{guild_id}/commands/{command_id}/permissions",
    }
)
"""Served, with nothing behind it that could change: nobody is in a voice channel, no bot says who may use a command."""


def handlers(world: World, application: Application) -> dict[str, Handler]:
    """By the name of the operation."""
    interactions = InteractionRoutes(world)
    found = ApplicationRoutes(world, application).table()
    for group in _GROUPS:
        found |= group(world).table()
    found |= interactions.table()
    assert ALWAYS_THE_SAME <= found.keys() <= OPERATIONS.keys()
    return found
