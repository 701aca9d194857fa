"""Files that were sent, as Discord's CDN serves them."""

from __future__ import annotations

from aiohttp import web

from local_discord.http.frame import Handler
from local_discord.snowflakes import SNOWFLAKE
from local_discord.world.files import Files

ATTACHMENTS = f"/attachments/{{channel:{SNOWFLAKE}}}/{{attachment:{SNOWFLAKE}}}/{{filename}}"
"""Where they are."""


def serve_attachments(files: Files) -> Handler:
    """Answers with the one that the address names."""

    async def serve(request: web.Request) -> web.Response:
        attachment = files.get(int(request.match_info["attachment"]))
        if attachment is None:
            raise web.HTTPNotFound
        kind = attachment.content_type or "application/octet-stream"
        # A page of whoever has uploaded it would else speak for this address.
        guards = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return web.Response(body=attachment.content, content_type=kind, headers=guards)

    return serve
