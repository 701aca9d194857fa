"""Answering interactions. The token in the path is all the authority there is."""

from __future__ import annotations

from aiohttp import web

from local_discord.http import forms
from local_discord.http.answers import Answers
from local_discord.http.frame import Handler, answer, nothing, number, places, query_flag, word
from local_discord.world.interactions import Interaction
from local_discord.world.world import World


class InteractionRoutes:
    """Each handler is one request about the interaction that its path names."""

    def __init__(self, world: World) -> None:
        self._interactions = world.interactions
        self._answers = Answers(world.core, world.posts)

    def table(self) -> dict[str, Handler]:
        """The first answer; what follows has the addresses of webhooks."""
        return {"POST /interactions/{interaction_id}/{interaction_token}/callback": self._call_back}

    async def _call_back(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        interaction = self._interactions.awaiting(number(request, "interaction_id"), word(request, "interaction_token"))
        told = self._answers.acknowledge(interaction, form)
        return answer(told) if query_flag(request, "with_response") else nothing()

    async def follow_up(self, request: web.Request) -> web.Response:
        """Another message."""
        form = await forms.read(request)
        return answer(self._answers.follow_up(self._interaction(request), form).payload())

    async def show(self, request: web.Request) -> web.Response:
        """One of its messages."""
        return answer(self._answers.find(self._interaction(request), _name(request)).payload())

    async def edit(self, request: web.Request) -> web.Response:
        """One of its messages, changed."""
        form = await forms.read(request)
        interaction = self._interaction(request)
        message = self._answers.find(interaction, _name(request))
        return answer(self._answers.edit(interaction, message, form).payload())

    async def delete(self, request: web.Request) -> web.Response:
        """One of its messages, gone."""
        interaction = self._interaction(request)
        self._answers.delete(interaction, self._answers.find(interaction, _name(request)))
        return nothing()

    def _interaction(self, request: web.Request) -> Interaction:
        return self._interactions.acknowledged(number(request, "webhook_id"), word(request, "webhook_token"))


def _name(request: web.Request) -> str:
    return places(request).get("message_id", "@original")
