"""Every route of the API."""

from __future__ import annotations

from aiohttp import web

from local_discord.http.command_routes import CommandRoutes
from local_discord.http.frame import BASE
from local_discord.http.guild_routes import GuildRoutes
from local_discord.http.interaction_routes import InteractionRoutes
from local_discord.http.message_routes import MessageRoutes
from local_discord.http.user_routes import UserRoutes
from local_discord.world.application import Application
from local_discord.world.world import World


def add_routes(router: web.UrlDispatcher, world: World, application: Application) -> None:
    """Under `/api/v10`; whatever has no route here is answered with 404."""
    groups = (
        UserRoutes(world, application),
        GuildRoutes(world),
        MessageRoutes(world),
        CommandRoutes(world),
        InteractionRoutes(world),
    )
    for group in groups:
        for route in group.table():
            router.add_route(route.method, BASE + route.path, route.handler)
