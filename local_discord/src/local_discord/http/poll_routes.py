"""Polls: who has voted, and ending them."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError
from local_discord.http.frame import Handler, answer, number, query_number
from local_discord.http.group import Group
from local_discord.world.channels import Message
from local_discord.world.polls import Poll


class PollRoutes(Group):
    """Bots begin polls and end their own; only people vote."""

    def table(self) -> dict[str, Handler]:
        poll = "/channels/{channel_id}/polls/{message_id}"
        return {f"GET {poll}/answers/{{answer_id}}": self._voters, f"POST {poll}/expire": self._end}

    async def _voters(self, request: web.Request) -> web.Response:
        _, poll = self._poll(request)
        limit, after = query_number(request, "limit", 25), query_number(request, "after", 0)
        voters = sorted(one for one in poll.votes.get(number(request, "answer_id"), ()) if one > after)
        return answer({"users": [self._world.users[one].payload() for one in voters[:limit]]})

    async def _end(self, request: web.Request) -> web.Response:
        message, poll = self._poll(request)
        if message.author is not self._bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        if poll.is_over:
            raise ApiError(400, 520001, "Poll expired")
        self._world.posts.end_poll(message)
        return answer(message.payload())

    def _poll(self, request: web.Request) -> tuple[Message, Poll]:
        message = self._message(request, "read_message_history")
        if message.poll is None:
            raise ApiError(400, 520006, "This message has no poll")
        return message, message.poll
