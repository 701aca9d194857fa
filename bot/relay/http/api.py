"""Answers each request of a sandbox's bot: by itself, by Discord, or with what it may not do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web
from loguru import logger

from bot import constants, log
from bot.errors import ServiceUnavailable
from bot.relay.fairness import TooManyRequests
from bot.relay.http import operations
from bot.relay.http.answers import Denied, answered, missing_access, passed_back, too_many_requests
from bot.relay.http.bodies import BadBody, Body, read_body
from bot.relay.http.operations import Match
from bot.relay.http.references import Query, read_query, references, snowflake, written_query
from bot.relay.http.room import Room
from bot.relay.http.rules import Rule
from bot.relay.identity import IdentitySource
from bot.relay.ownership import GuildsOf, InteractionTokens, WebhookTokens
from bot.relay.tenants import NotAuthenticated, Tenant, Tenants
from bot.relay.upstream import Answer, DiscordAway, Refused, Upstream
from bot.relay.usage import Usage

_SAID = ("guild", "interaction")
"""What a path may name that the log says of the request."""
_PASSED_ON = (hdrs.ACCEPT_LANGUAGE, "X-Audit-Log-Reason")


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a tenant's, matched and read."""

    tenant: Tenant
    match: Match
    query: Query
    headers: Mapping[str, str]
    body: Body

    @property
    def operation(self) -> str:
        """Its method and its path, with places in braces."""
        return f"{self.match.operation.method} {self.match.operation.template}"

    def snowflake(self, place: str) -> int:
        """What stands in that place of the path."""
        return int(self.match.values[place])


Handler = Callable[[Call], Awaitable[web.Response]]


class Api:
    """`handle` is the one handler for all paths under `/api`."""

    def __init__(
        self,
        tenants: Tenants,
        upstream: Upstream,
        identity: IdentitySource,
        channels: GuildsOf,
        webhook_tokens: WebhookTokens,
        interactions: InteractionTokens,
        usage: Usage,
        gateway_address: Callable[[web.Request], str],
    ) -> None:
        self._tenants, self._upstream, self._identity = tenants, upstream, identity
        self._channels, self._webhook_tokens, self._interactions = channels, webhook_tokens, interactions
        self._usage, self._gateway_address = usage, gateway_address
        self._room = Room()
        self.requests: Counter[tuple[str, str]] = Counter()
        """Since the start, by the rule for the route and the outcome."""
        self.handlers: dict[Rule, Handler] = {
            Rule.USER: self._user,
            Rule.APPLICATION: self._application,
            Rule.OPEN: self._pass_on,
            Rule.GUILDS: self._guilds,
            Rule.GUILD: self._guild,
            Rule.MEMBER: self._member,
            Rule.GUILD_CHANNEL: self._guild_channel,
            Rule.STAGE: self._stage,
            Rule.STICKER: self._sticker,
            Rule.REFUSED: self._refuse,
        }
        """By rule; the other parts of the relay add theirs."""

    async def handle(self, request: web.Request) -> web.Response:
        """Never raises: whatever fails has an answer that libraries read."""
        found = operations.find(request.method, request.raw_path)
        response = await self._respond(request, found)
        self.requests[found.operation.rule if found else "unknown", _outcome(response.status)] += 1
        return response

    async def _respond(self, request: web.Request, found: Match | None) -> web.Response:
        try:
            return await self._handle(request, found)
        except Denied as denied:
            return denied.response()
        except NotAuthenticated:
            return Denied(401, 0, "401: Unauthorized").response()
        except BadBody as error:
            return Denied(400, 50109, str(error)).response()
        except TooManyRequests as error:
            return too_many_requests(error.retry_after_s)
        except web.HTTPRequestEntityTooLarge:
            return Denied(413, 40005, "Request entity too large").response()
        except TimeoutError:
            return Denied(408, 0, "408: Request Timeout").response()
        except (ServiceUnavailable, DiscordAway, Refused, ConnectionResetError) as error:
            asked = operations.for_log(request.method, request.raw_path)
            logger.warning("the relay cannot answer", asked=asked, error=str(error))
            return Denied(503, 0, "503: Service Unavailable").response()
        except Exception:
            asked = operations.for_log(request.method, request.raw_path)
            logger.exception("the relay has failed to answer", asked=asked)
            return Denied(500, 0, "500: Internal Server Error").response()

    async def _handle(self, request: web.Request, found: Match | None) -> web.Response:
        if found is None:
            await self._tenants.authenticate(request.headers.get(hdrs.AUTHORIZATION, ""))
            raise missing_access("the relay does not know this route")
        rule = found.operation.rule
        if rule is Rule.GATEWAY:
            return await self._gateway(request, found)
        tenant = await self._tenant(request, found)
        log.note(sandbox=str(tenant.sandbox_id), **{each: found.values[each] for each in _SAID if each in found.values})
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        async with self._room.taken(tenant.sandbox_id, request):
            async with asyncio.timeout(constants.RELAY_BODY_WITHIN_S):
                body = await read_body(request)
            query = read_query(request.raw_path.partition("?")[2])
            return await self._counted(Call(tenant, found, query, headers, body))

    async def _counted(self, call: Call) -> web.Response:
        is_refused = True
        try:
            response = await self._answer(call)
            is_refused = response.status >= 400
            return response
        finally:
            if call.match.operation.method != "GET":
                self._usage.count(call.tenant.sandbox_id, call.operation, refused=is_refused)

    async def _answer(self, call: Call) -> web.Response:
        rule = call.match.operation.rule
        if rule is not Rule.REFUSED:
            await self._require_own_application(call)
            await self._require_references(call)
        return await self.handlers[rule](call)

    async def _require_own_application(self, call: Call) -> None:
        asked = call.match.values.get("application")
        if asked is not None and asked != (await self._identity.get()).application_id:
            raise missing_access("another application")

    async def _require_references(self, call: Call) -> None:
        """What the request names beside its path is the sandbox's too."""
        found = references(call.match.operation, call.body.json, call.query)
        for guild_id in found.guilds:
            require_guild(call.tenant, guild_id)
        if found.channels and "guild" in call.match.values:
            require_guild(call.tenant, call.snowflake("guild"))
            await self._channels.learn_guild(call.snowflake("guild"), found.channels, call.tenant.sandbox_id)
        for channel_id in found.channels:
            await self.require_channel(call.tenant, channel_id)

    async def _gateway(self, request: web.Request, found: Match) -> web.Response:
        url = self._gateway_address(request)
        if found.operation.template == "/gateway":
            return answered({"url": url})
        await self._tenants.authenticate(request.headers.get(hdrs.AUTHORIZATION, ""))
        limit = {"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 1}
        return answered({"url": url, "shards": 1, "session_start_limit": limit})

    async def _tenant(self, request: web.Request, found: Match) -> Tenant:
        """By its token; or, where libraries send none, by the one in the path."""
        authorization = request.headers.get(hdrs.AUTHORIZATION)
        if authorization is not None or found.operation.rule not in (Rule.CALLBACK, Rule.TOKEN):
            return await self._tenants.authenticate(authorization or "")
        owner = await self._interactions.owner(found.values["token"])
        if owner is not None:
            return await self._tenants.of_sandbox(owner)
        if "webhook" not in found.values or found.values["webhook"] == (await self._identity.get()).application_id:
            raise NotAuthenticated
        guild_id = await self._webhook_tokens.find(int(found.values["webhook"]), found.values["token"])
        if guild_id is None:
            raise NotAuthenticated
        return await self._tenants.of_guild(guild_id)

    async def _user(self, call: Call) -> web.Response:
        return answered((await self._identity.get()).user)

    async def _application(self, call: Call) -> web.Response:
        return answered((await self._identity.get()).application)

    async def _guilds(self, call: Call) -> web.Response:
        get = partial(self._upstream.get, sandbox_id=call.tenant.sandbox_id)
        shown = [await get(f"/guilds/{each}", "with_counts=true") for each in sorted(call.tenant.guild_ids)]
        keys = ("id", "name", "icon", "features", "approximate_member_count", "approximate_presence_count")
        return answered(
            [{"owner": False, "permissions": "0", **{key: each.get(key) for key in keys}} for each in shown]
        )

    async def _guild(self, call: Call) -> web.Response:
        require_guild(call.tenant, call.snowflake("guild"))
        return await self._pass_on(call)

    async def _member(self, call: Call) -> web.Response:
        if call.match.values["user"] == (await self._identity.get()).user_id:
            raise missing_access("the bot's membership is everybody's")
        return await self._guild(call)

    async def _guild_channel(self, call: Call) -> web.Response:
        await self.require_channel(call.tenant, call.snowflake("channel"))
        return await self._pass_on(call)

    async def _stage(self, call: Call) -> web.Response:
        snowflake(call.body.get("channel_id"), "channel_id")
        return await self._pass_on(call)

    async def _sticker(self, call: Call) -> web.Response:
        answer = await self.ask(call)
        guild_id = answer.json().get("guild_id") if answer.status == 200 else None
        if guild_id is not None:
            require_guild(call.tenant, int(guild_id))
        return passed_back(answer)

    async def _refuse(self, call: Call) -> web.Response:
        raise missing_access("it is the whole application's, or needs another login")

    async def guild_of_channel(self, tenant: Tenant, channel_id: int) -> int | None:
        """None unless it is in a guild of the sandbox's."""
        guild_id = await self._channels.find(channel_id, tenant.sandbox_id)
        return guild_id if guild_id in tenant.guild_ids else None

    async def require_channel(self, tenant: Tenant, channel_id: int) -> int:
        """Its guild; `Denied` unless that is the sandbox's."""
        guild_id = await self.guild_of_channel(tenant, channel_id)
        if guild_id is None:
            raise missing_access("this channel is not in a server of the sandbox")
        return guild_id

    async def _pass_on(self, call: Call) -> web.Response:
        return passed_back(await self.ask(call))

    async def ask(self, call: Call, *, authorized: bool = True, path: str | None = None) -> Answer:
        """Discord's own answer, of another `path` if that is given. `DiscordAway` if it doesn't know the application's
        token: a library that is told so takes it for its own."""
        data, kind = call.body.written()
        answer = await self._upstream.request(
            call.match.operation.method,
            path or call.match.path,
            query=written_query(call.query),
            headers={**call.headers, **kind},
            body=data,
            authorized=authorized,
            sandbox_id=call.tenant.sandbox_id,
        )
        if authorized and answer.status == 401:
            raise DiscordAway("Discord does not accept the application's token")
        return answer


def _outcome(status: int) -> str:
    """In a word."""
    if status < 400:
        return "ok"
    if status < 500:
        return "limited" if status == 429 else "refused"
    return "failed" if status == 500 else "away"


def require_guild(tenant: Tenant, guild_id: int) -> None:
    """`Denied` unless it is the sandbox's."""
    if guild_id not in tenant.guild_ids:
        raise missing_access("this server is not bound to the sandbox")
