"""Reactions to messages."""

from __future__ import annotations

import re

from aiohttp import web

from local_discord.errors import ApiError, unknown
from local_discord.http.frame import Handler, answer, nothing, query_number, word
from local_discord.http.group import Group
from local_discord.world.channels import Message

_MOST = 20
_CUSTOM = re.compile(r"(?:a:)?(\w{1,32}:\d{1,20})")


class ReactionRoutes(Group):
    """With Unicode emojis, with the application's, and with those of the guilds that the bot is in."""

    def table(self) -> dict[str, Handler]:
        reactions = "/channels/{channel_id}/messages/{message_id}/reactions"
        emoji = reactions + "/{emoji_name}"
        return {
            f"DELETE {reactions}": self._clear,
            f"GET {emoji}": self._users,
            f"DELETE {emoji}": self._clear_emoji,
            f"PUT {emoji}/@me": self._react,
            f"DELETE {emoji}/@me": self._unreact,
            f"DELETE {emoji}/{{user_id}}": self._remove,
        }

    async def _react(self, request: web.Request) -> web.Response:
        message, emoji = self._message(request), self._emoji(request)
        self._require(message.channel, "read_message_history")
        if emoji not in message.reactions:
            self._require(message.channel, "add_reactions")
            if len(message.reactions) >= _MOST:
                raise ApiError(400, 30010, f"Maximum number of reactions reached ({_MOST})")
        self._world.posts.react(self._bot, message, emoji)
        return nothing()

    async def _unreact(self, request: web.Request) -> web.Response:
        self._world.posts.unreact(self._bot, self._message(request), self._emoji(request))
        return nothing()

    async def _remove(self, request: web.Request) -> web.Response:
        message = self._manageable(request)
        self._world.posts.unreact(self._user(request), message, self._emoji(request))
        return nothing()

    async def _users(self, request: web.Request) -> web.Response:
        message = self._message(request, "read_message_history")
        limit, after = query_number(request, "limit", 25), query_number(request, "after", 0)
        users = sorted(one for one in message.reactions.get(self._emoji(request), ()) if one > after)
        return answer([self._world.users[user_id].payload() for user_id in users[:limit]])

    async def _clear(self, request: web.Request) -> web.Response:
        self._world.posts.clear_reactions(self._manageable(request))
        return nothing()

    async def _clear_emoji(self, request: web.Request) -> web.Response:
        self._world.posts.clear_reactions(self._manageable(request), self._emoji(request))
        return nothing()

    def _manageable(self, request: web.Request) -> Message:
        return self._message(request, "manage_messages")

    def _emoji(self, request: web.Request) -> str:
        """As reactions are kept: the emoji itself, or `name:id`."""
        text = word(request, "emoji_name")
        if not text.isascii():
            return text
        custom = _CUSTOM.fullmatch(text)
        emoji_id = custom[1].rpartition(":")[2] if custom else ""
        shelves = [self._world.emojis, *(guild.emojis for guild in self._world.bots_guilds())]
        if not any(one["id"] == emoji_id for shelf in shelves for one in shelf.items()):
            raise unknown("Emoji")
        assert custom is not None
        return custom[1]
