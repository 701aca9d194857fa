"""Pinned messages, by their addresses of today and of before."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from local_discord.errors import ApiError
from local_discord.http.frame import Handler, answer, nothing, query_number
from local_discord.http.group import Group
from local_discord.world.audit_log import PINNED, UNPINNED
from local_discord.world.channels import Message

_MOST_PINS = 250
_MOST_SHOWN = 50


class PinRoutes(Group):
    """In a guild pinning takes “Pin Messages”; whoever may manage messages may do that too, as Discord still has it."""

    def table(self) -> dict[str, Handler]:
        found: dict[str, Handler] = {
            "GET /channels/{channel_id}/pins": self._listing,
            "GET /channels/{channel_id}/messages/pins": self._pages,
        }
        for pins in ("/channels/{channel_id}/pins", "/channels/{channel_id}/messages/pins"):
            found |= {f"PUT {pins}/{{message_id}}": self._pin, f"DELETE {pins}/{{message_id}}": self._unpin}
        return found

    async def _listing(self, request: web.Request) -> web.Response:
        pinned = _pinned(self._history(self._channel(request)))
        return answer([message.payload() for message in pinned[:_MOST_SHOWN]])

    async def _pages(self, request: web.Request) -> web.Response:
        limit = min(query_number(request, "limit", _MOST_SHOWN), _MOST_SHOWN)
        before = request.query.get("before", "9")
        found = _pinned(self._history(self._channel(request)))
        pinned = [one for one in found if str(one.pinned_at) < before]
        items = [{"pinned_at": one.pinned_at, "message": one.payload()} for one in pinned[:limit]]
        return answer({"items": items, "has_more": len(pinned) > limit})

    async def _pin(self, request: web.Request) -> web.Response:
        message = self._pinnable(request)
        if len(_pinned(message.channel.messages.values())) >= _MOST_PINS:
            raise ApiError(400, 30003, f"Maximum number of pins reached for the channel ({_MOST_PINS})")
        if message.pinned_at is None:
            self._world.posts.pin(message, self._bot)
            self._note_pin(request, message, PINNED)
        return nothing()

    async def _unpin(self, request: web.Request) -> web.Response:
        message = self._pinnable(request)
        if message.pinned_at is not None:
            self._world.posts.unpin(message)
            self._note_pin(request, message, UNPINNED)
        return nothing()

    def _note_pin(self, request: web.Request, message: Message, action: int) -> None:
        if message.channel.guild is not None:
            told = {"channel_id": str(message.channel.id), "message_id": str(message.id)}
            self._note(request, message.channel.guild, action, message.author.id, options=told)

    def _pinnable(self, request: web.Request) -> Message:
        message = self._message(request)
        if message.channel.guild is not None:
            try:
                self._require(message.channel, "pin_messages")
            except ApiError:
                self._require(message.channel, "manage_messages")
        return message


def _pinned(messages: Iterable[Message]) -> list[Message]:
    """Those pinned last come first."""
    pinned = [message for message in messages if message.pinned_at is not None]
    return sorted(pinned, key=lambda message: str(message.pinned_at), reverse=True)
