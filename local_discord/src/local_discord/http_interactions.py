"""Answering interactions. The token in the path is all the authority there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_discord import forms
from local_discord.answers import Answers
from local_discord.http_api import answer, nothing, number
from local_discord.interactions import Interaction

if TYPE_CHECKING:
    from local_discord.world import World


class InteractionRoutes:
    def __init__(self, world: World) -> None:
        self._world = world
        self._answers = Answers(world)

    def table(self) -> list[web.RouteDef]:
        webhook = r"/webhooks/{application:\d+}/{token}"
        message = webhook + "/messages/{message}"
        return [
            web.post(r"/interactions/{interaction:\d+}/{token}/callback", self.call_back),
            web.post(webhook, self.follow_up),
            web.get(message, self.show),
            web.patch(message, self.edit),
            web.delete(message, self.delete),
        ]

    async def call_back(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        interactions = self._world.interactions
        interaction = interactions.awaiting(number(request, "interaction"), request.match_info["token"])
        told = self._answers.acknowledge(interaction, form)
        return answer(told) if request.query.get("with_response") in ("1", "true") else nothing()

    async def follow_up(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        return answer(self._answers.follow_up(self._interaction(request), form).payload())

    async def show(self, request: web.Request) -> web.Response:
        return answer(self._answers.find(self._interaction(request), request.match_info["message"]).payload())

    async def edit(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        interaction = self._interaction(request)
        message = self._answers.find(interaction, request.match_info["message"])
        return answer(self._answers.edit(interaction, message, form).payload())

    async def delete(self, request: web.Request) -> web.Response:
        interaction = self._interaction(request)
        self._answers.delete(interaction, self._answers.find(interaction, request.match_info["message"]))
        return nothing()

    def _interaction(self, request: web.Request) -> Interaction:
        return self._world.interactions.acknowledged(number(request, "application"), request.match_info["token"])
