"""Who may connect to NATS as a sandbox: the answers to the server's auth callout, and the end of live connections."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import nats
import nats.errors
import orjson
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg

from bot import constants, request
from bot.errors import ServiceUnavailable
from bot.i18n import Translatable
from bot.stores.nats_account import ACCOUNT, FULL_ACCOUNT, WorkersAccount, read_workers_account
from bot.stores.nats_addresses import servers_in, tls_of
from bot.stores.nats_claims import OWN_CLAIMS, PROBE_INBOX, PROBE_USER, SERVICES_USER, full_claims, sandbox_claims
from bot.stores.nats_client import asking
from bot.stores.nats_connection_watch import ConnectionWatch, ReadAges
from bot.stores.nats_connections import NatsConnections, sandbox_of
from bot.stores.nats_floods import FloodWatch
from bot.stores.nats_jwt import InvalidJwt, Issuer, verify
from bot.stores.nats_logins import BatchedLookUp, LoginLimits, LookUp, RecentLogins, Unanswered
from bot.stores.nats_responder import QUEUE, Responder
from bot.stores.urls import with_login

_REQUESTS = "$SYS.REQ.USER.AUTH"


@dataclass(frozen=True, slots=True)
class Callout:
    """What it takes to answer: two users that the callout itself does not check, and the issuing account's seed."""

    auth_url: str = field(repr=False)
    system_url: str = field(repr=False)
    account_seed: str = field(repr=False)


BeforeLogin = Callable[[UUID], Awaitable[None]]
"""What a sandbox's worker should find done when it is let in."""


class NatsAccess:
    """Several bot processes answer as one queue group."""

    def __init__(
        self,
        auth: Client,
        system: Client,
        issuer: Issuer,
        look_up: LookUp,
        *,
        max_connections: int,
        probes_only: bool = False,
    ) -> None:
        """`probes_only`: it answers what it asks itself, beside the bots, and leaves every worker to them."""
        self._auth, self._system, self._issuer = auth, system, issuer
        self.connections = NatsConnections(system, ACCOUNT)
        self._account: tuple[int, WorkersAccount] | None = None
        self._look_up, self._max_connections = BatchedLookUp(look_up), max_connections
        self._recent_logins, self._limits, self._unanswered = RecentLogins(), LoginLimits(), Unanswered()
        self.before_login: BeforeLogin = _nothing_to_do
        self.floods = FloodWatch(self.connections, self._limits.bars)
        self._probes_only, self._stranger = probes_only, str(uuid4())
        self.responder = Responder(auth, _REQUESTS, self._answer, queue="" if probes_only else QUEUE)

    async def probe(self, url: str) -> str | None:
        """Why the server does not ask the bots, this or another process; None if it does. `url` has no credentials.

        `ServiceUnavailable` if it has let the bot in and then says nothing.
        """
        for login in ({}, {"user": self._stranger, "password": self._stranger}):
            async with _try_login(url, **login) as client:
                if client.is_connected:
                    return Translatable("anybody may connect to the server")
        async with _try_login(url, user=PROBE_USER, password=self._issuer.derive(PROBE_USER)) as client:
            if not client.is_connected:
                return Translatable(
                    "the server does not ask the bot (no auth_callout for its account, or another issuer)"
                )
            if await _has_jetstream(client):
                return f"the account {ACCOUNT} has JetStream, so that one worker could delete another's stream"
        return None

    @property
    def reconnects(self) -> int:
        """How often the server has been connected to again: it may be another one."""
        return self._auth.stats["reconnects"]

    async def is_reached_by_workers(self) -> bool:
        """Whether the callout is in the workers' account, so that they can have answers sent to it, by the million."""
        with suppress(nats.errors.Error, OSError, KeyError):
            answer = await self._auth.request("$SYS.REQ.USER.INFO", timeout=constants.NATS_ANSWER_WITHIN_S)
            return bool(orjson.loads(answer.data)["data"]["account"] == ACCOUNT)
        return False

    def replays_url(self, url: str) -> str:
        """The address for a client in the workers' account that may do nothing but answer them: their requests for
        replays, and their questions after their streams. It is let in by the bots themselves."""
        return with_login(url, SERVICES_USER, self._issuer.derive(SERVICES_USER))

    async def read_account(self) -> WorkersAccount:
        """What the servers' configuration gives the workers; read anew when they have been connected to again."""
        reconnects = self._system.stats["reconnects"]
        if self._account is None or self._account[0] != reconnects:
            self._account = (reconnects, await read_workers_account(self._system))
        return self._account[1]

    async def disconnect(self, sandbox_id: UUID) -> int:
        """End the sandbox's connections on every server, those that just log in included; how many there were.

        They may log in anew at once. `ServiceUnavailable` if no server answers; one that does not is asked later.
        """
        return await self.connections.disconnect_all(sandbox_id)

    async def disconnect_until_none_left(self, sandbox_id: UUID) -> None:
        """`disconnect` again until there is none: a login may have been under way while its right to it ended."""
        await self.connections.disconnect_all(sandbox_id, rounds=constants.NATS_MOST_DISCONNECTS)

    async def end_replaced(self, sandbox_id: UUID, *, is_first: bool) -> None:
        """The connections by credentials that count no more: all that there are, when it `is_first` tried. Later, and
        on servers that cannot be asked, `watch` tells them from those of now."""
        if not is_first:
            self.connections.servers.doubt_all()
            return
        try:
            await self.disconnect_until_none_left(sandbox_id)
        except ServiceUnavailable as error:
            self.connections.servers.doubt_all()
            request.note_behind(error.service)

    def watch(self, read_ages: ReadAges) -> ConnectionWatch:
        """What ends connections on servers that could not be asked in time."""
        return ConnectionWatch(self.connections, read_ages)

    async def _answer(self, message: Msg) -> bytes | None:
        try:
            claims = verify(message.data)
            request, server_id = claims["nats"], claims["iss"]
            user_nkey, is_own = request["user_nkey"], request["server_id"]["id"] == server_id
            connection, asked_at = (server_id, request["client_info"]["id"]), int(claims["iat"])
        except (InvalidJwt, KeyError, TypeError, ValueError):
            is_own = False
        if not is_own:  # at DEBUG, for a worker can have answers sent here
            logger.debug("an auth request is not of a NATS server")
            return None
        answer: dict[str, Any] = {"type": "authorization_response", "version": 2}
        try:
            async with asyncio.timeout(constants.NATS_LOGIN_ANSWER_WITHIN_S):
                claims = await self._claims(request.get("connect_opts", {}), connection, asked_at)
            answer["jwt"] = self._issuer.sign({"sub": user_nkey, "iat": asked_at, **claims})
        except _RefusedError as error:
            if not self._limits.may_refuse():
                return None
            answer["error"] = str(error)
        except _IgnoredError:
            return None
        except Exception as error:  # no answer: the client sees a timeout and tries again
            self._unanswered.note(error)
            return None
        signed = self._issuer.sign({"sub": user_nkey, "aud": server_id, "iat": asked_at, "nats": answer})
        return signed.encode()

    async def _claims(self, options: dict[str, Any], connection: tuple[str, int], asked_at: int) -> dict[str, Any]:
        """What the user may do, or `_RefusedError`. `asked_at`: by the server's clock, which judges what expires."""
        user, offered = str(options.get("user", "")), str(options.get("pass", ""))
        if user in OWN_CLAIMS and hmac.compare_digest(offered.encode(), self._issuer.derive(user).encode()):
            return {"aud": ACCOUNT, **OWN_CLAIMS[user](asked_at)}
        sandbox_id = sandbox_of(user)
        if sandbox_id is None:
            raise _RefusedError("the user is the sandbox's id")
        if user == self._stranger:
            raise _RefusedError("no sandbox of that id runs")
        if self._probes_only:
            raise _IgnoredError
        if self._limits.bars.holds(sandbox_id):
            raise _IgnoredError
        await self._check_token(sandbox_id, offered)  # before the counts: a stranger takes nobody's place
        if not self._limits.admit(sandbox_id):
            raise _IgnoredError
        account = await self.read_account()
        try:
            with self._recent_logins.count(sandbox_id, connection) as earlier:
                # Together: on a far line each is a round trip, and the worker waits for two or three seconds in all.
                await asyncio.gather(
                    self._require_place(sandbox_id, connection[0], earlier), self.before_login(sandbox_id)
                )
                expires_at = await self._check_token(sandbox_id, offered)
        except _FullError:
            if not account.tells_full or not self._limits.may_refuse():
                raise
            return {"aud": FULL_ACCOUNT, **full_claims(sandbox_id, asked_at)}
        return {"aud": ACCOUNT, **sandbox_claims(sandbox_id, expires_at, account)}

    async def _require_place(self, sandbox_id: UUID, server_id: str, earlier: set[tuple[str, int]]) -> None:
        live = await self.connections.list_on_server(sandbox_id, server_id, at_most=self._max_connections)
        if len(live | earlier) >= self._max_connections:
            raise _FullError(f"the sandbox has {self._max_connections} connections already")

    async def _check_token(self, sandbox_id: UUID, offered: str) -> datetime:
        """Until when it counts."""
        login = await self._look_up.get(sandbox_id)
        self._unanswered.over()
        digest = hashlib.sha256(offered.encode()).hexdigest()
        if login is None or not hmac.compare_digest(digest, login.token_sha256):
            raise _RefusedError("wrong token, or the sandbox does not run")
        return login.expires_at


class _RefusedError(Exception):
    pass


class _FullError(_RefusedError):
    """Its token is right, and there is no place."""


class _IgnoredError(Exception):
    """It is not worth an answer."""


@asynccontextmanager
async def _try_login(url: str, **login: str) -> AsyncIterator[Client]:
    """A client that is connected if the server lets it in."""
    client = Client()
    with suppress(nats.errors.Error, OSError, TimeoutError):
        await client.connect(
            servers_in(url),
            **login,  # type: ignore[arg-type]
            allow_reconnect=False,
            connect_timeout=constants.NATS_PROBE_WITHIN_S,
            tls=tls_of(url),
            inbox_prefix=PROBE_INBOX.encode(),
            error_cb=_ignore,
        )
    try:
        yield client
    finally:
        await client.close()


async def _has_jetstream(client: Client) -> bool:
    """`ServiceUnavailable` if the server doesn't say: silence is no word that there is none."""
    with asking():
        try:
            answer = await client.request("$JS.API.INFO", timeout=constants.NATS_ANSWER_WITHIN_S)
        except nats.errors.NoRespondersError:
            return False
    return "error" not in orjson.loads(answer.data)


async def _nothing_to_do(_: UUID) -> None:
    """Where nobody asks for anything to be done before logins."""


async def _ignore(_: Exception) -> None:
    """The probe may be refused."""
