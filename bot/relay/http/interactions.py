"""What goes by a token of its own: answers to interactions, and webhooks. Never with the application's token."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot.relay.commands import GuildCommands
from bot.relay.http.answers import missing_access, passed_back
from bot.relay.http.api import Api, Call
from bot.relay.http.rules import Rule
from bot.relay.identity import IdentitySource
from bot.relay.made import MadeMessages
from bot.relay.ownership import InteractionTokens, WebhookTokens
from bot.relay.tenants import Tenant
from bot.routing.callbacks import CallbackNotices

_OF_COMMANDS = (2, 4)
"""Types of interactions that name a command: its use, and a suggestion for one of its options."""


class TokenRoutes:
    """Adds itself to the API."""

    def __init__(
        self,
        api: Api,
        identity: IdentitySource,
        webhooks: WebhookTokens,
        interactions: InteractionTokens,
        commands: GuildCommands,
        made: MadeMessages,
        callbacks: CallbackNotices,
    ) -> None:
        self._api, self._identity, self._commands, self._callbacks = api, identity, commands, callbacks
        self._webhooks, self._interactions, self._made = webhooks, interactions, made
        api.handlers[Rule.CALLBACK] = self._callback
        api.handlers[Rule.TOKEN] = self._by_token

    async def deliver(self, tenant: Tenant, data: dict[str, Any]) -> dict[str, Any] | None:
        """An interaction on its way to the sandbox's bot, which may answer it from now on."""
        await self._interactions.record(str(data.get("token")), tenant.sandbox_id)
        command, guild_id = data.get("data"), data.get("guild_id")
        if data.get("type") not in _OF_COMMANDS or not isinstance(command, dict) or guild_id is None:
            return data
        told = await self._commands.told_as(int(guild_id), int(command["id"]))
        if told is None:
            return data
        command_id, is_global = told
        hidden = {"guild_id"} if is_global else frozenset()
        as_told = {key: value for key, value in command.items() if key not in hidden}
        return data | {"data": as_told | {"id": str(command_id)}}

    async def _callback(self, call: Call) -> web.Response:
        await self._require_interaction(call)
        interaction_id = call.snowflake("interaction")
        async with self._callbacks.passing(call.tenant.sandbox_id, interaction_id) as taken:
            answer = await self._api.ask(call, authorized=False)
            if answer.status < 300:
                taken()
        if answer.status < 300:  # what answers it is the sandbox's, also by way of the channel
            await self._made.add(call.tenant.sandbox_id, interaction_id)
        return passed_back(answer)

    async def _by_token(self, call: Call) -> web.Response:
        webhook, token = call.match.values["webhook"], call.match.values["token"]
        if webhook == (await self._identity.get()).application_id:
            await self._require_interaction(call)
            answer = await self._api.ask(call, authorized=False)
            if answer.status < 300 and answer.snowflake is not None:
                await self._made.add(call.tenant.sandbox_id, answer.snowflake)
            return passed_back(answer)
        guild_id = await self._webhooks.find(int(webhook), token, call.tenant.sandbox_id)
        if guild_id is None or guild_id not in call.tenant.guild_ids:
            raise missing_access("this webhook is not in a server of the sandbox, or has another token")
        return passed_back(await self._api.ask(call, authorized=False))

    async def _require_interaction(self, call: Call) -> None:
        owner = await self._interactions.owner(call.match.values["token"])
        if owner != call.tenant.sandbox_id:
            raise missing_access("this interaction was not sent to the sandbox")
