"""Answering interactions. The token in the path is all the authority there is."""

from __future__ import annotations

from aiohttp import web

from local_discord.http import forms
from local_discord.http.answers import Answers
from local_discord.http.frame import answer, nothing, number
from local_discord.world.interactions import Interaction
from local_discord.world.world import World


class InteractionRoutes:
    """Each handler is one request about the interaction that its path names."""

    def __init__(self, world: World) -> None:
        self._interactions = world.interactions
        self._answers = Answers(world.core, world.posts)

    def table(self) -> list[web.RouteDef]:
        """Paths after the API's base."""
        webhook = r"/webhooks/{application:\d+}/{token}"
        message = webhook + "/messages/{message}"
        return [
            web.post(r"/interactions/{interaction:\d+}/{token}/callback", self._call_back),
            web.post(webhook, self._follow_up),
            web.get(message, self._show),
            web.patch(message, self._edit),
            web.delete(message, self._delete),
        ]

    async def _call_back(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        interaction = self._interactions.awaiting(number(request, "interaction"), request.match_info["token"])
        told = self._answers.acknowledge(interaction, form)
        return answer(told) if request.query.get("with_response") in ("1", "true") else nothing()

    async def _follow_up(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        return answer(self._answers.follow_up(self._interaction(request), form).payload())

    async def _show(self, request: web.Request) -> web.Response:
        return answer(self._answers.find(self._interaction(request), request.match_info["message"]).payload())

    async def _edit(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        interaction = self._interaction(request)
        message = self._answers.find(interaction, request.match_info["message"])
        return answer(self._answers.edit(interaction, message, form).payload())

    async def _delete(self, request: web.Request) -> web.Response:
        interaction = self._interaction(request)
        self._answers.delete(interaction, self._answers.find(interaction, request.match_info["message"]))
        return nothing()

    def _interaction(self, request: web.Request) -> Interaction:
        return self._interactions.acknowledged(number(request, "application"), request.match_info["token"])
