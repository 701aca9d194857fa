"""Webhooks as the application's: made and noted, followed, shown, changed and deleted."""

from __future__ import annotations

from aiohttp import web

from bot.relay.http.answers import missing_access, passed_back
from bot.relay.http.api import Api, Call
from bot.relay.http.references import snowflake
from bot.relay.http.rules import Rule
from bot.relay.ownership import GuildsOf, WebhookTokens
from bot.relay.upstream import Answer
from bot.relay.webhooks import MadeWebhooks


class WebhookRoutes:
    """Adds itself to the API."""

    def __init__(
        self, api: Api, webhooks: GuildsOf, tokens: WebhookTokens, made: MadeWebhooks, *, allowed: bool
    ) -> None:
        self._api, self._webhooks, self._tokens, self._made, self._allowed = api, webhooks, tokens, made, allowed
        api.handlers[Rule.NEW_WEBHOOK] = self._create
        api.handlers[Rule.FOLLOW] = self._follow
        api.handlers[Rule.WEBHOOK] = self._by_id

    async def _create(self, call: Call) -> web.Response:
        channel_id = call.snowflake("channel")
        guild_id = await self._api.require_channel(call.tenant, channel_id)
        answer = await self._make(call, guild_id, channel_id, "id")
        if answer.status < 300 and (token := answer.json().get("token")):
            self._tokens.learn(answer.snowflake or 0, token, guild_id)
        return passed_back(answer)

    async def _follow(self, call: Call) -> web.Response:
        """The webhook is in the channel that follows."""
        await self._api.require_channel(call.tenant, call.snowflake("channel"))
        channel_id = snowflake(call.body.get("webhook_channel_id"), "webhook_channel_id")
        guild_id = await self._api.require_channel(call.tenant, channel_id)
        return passed_back(await self._make(call, guild_id, channel_id, "webhook_id"))

    async def _make(self, call: Call, guild_id: int, channel_id: int, id_field: str) -> Answer:
        """Noted first: whatever fails on the way, it is known afterwards. Without an answer `reconcile` looks."""
        if not self._allowed:
            raise missing_access("relay.webhooks is off: sandboxes' bots make none")
        note = await self._made.begin(call.tenant.sandbox_id, guild_id, channel_id)
        answer = await self._api.ask(call)
        if answer.status < 300:
            await self._made.settle(note, int(answer.json()[id_field]))
        elif answer.status < 500:
            await self._made.forget(note)
        return answer

    async def _by_id(self, call: Call) -> web.Response:
        webhook_id = call.snowflake("webhook")
        guild_id = await self._webhooks.find(webhook_id, call.tenant.sandbox_id)
        if guild_id is None or guild_id not in call.tenant.guild_ids:
            raise missing_access("this webhook is not in a server of the sandbox")
        answer = await self._api.ask(call)
        if call.match.operation.method == "DELETE" and answer.status < 300:
            await self._made.forget_webhook(webhook_id)
        return passed_back(answer)
