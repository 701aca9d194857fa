"""A sandbox whose credentials are replaced again and again, and who is still let in with those of before."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import nats
import redis.asyncio
from nats.aio.client import Client

from local_discord import Message, Person, Reply
from sandbox_worker import protocol
from tests.cluster.commands import Commands, Place
from tests.cluster.servers import Cluster
from tests.e2e.conftest import environment_in

DEAD_WITHIN_S = 2.0
LET_IN_WITHIN_S = 3.0
_TOKEN = "SANDBOX_NATS_PASSWORD"
_ASK_EVERY_S = 0.05
_ANSWERS_WITHIN_S = 1.0
_SHOWN_WITHIN_S = 1.0


class Session(Protocol):
    """A connection to one server."""

    async def ask(self) -> None:
        """Raises if the server has ended it."""

    async def close(self) -> None: ...


class NatsSession:
    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def open(cls, url: str, environment: Mapping[str, str], tls: ssl.SSLContext | None) -> NatsSession:
        client = await nats.connect(
            url,
            user=environment["SANDBOX_NATS_USER"],
            password=environment["SANDBOX_NATS_PASSWORD"],
            inbox_prefix=protocol.inbox_prefix(UUID(environment["SANDBOX_ID"])),
            allow_reconnect=False,
            connect_timeout=2,
            tls=tls,
            error_cb=_ignore,
        )
        await client.subscribe(f"{environment['SANDBOX_NATS_PREFIX']}work.>")
        await client.flush(1)
        return cls(client)

    async def ask(self) -> None:
        if not self._client.is_connected:
            raise ConnectionError
        await self._client.flush(1)

    async def close(self) -> None:
        await self._client.close()


class PostgresSession:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, host: str, environment: Mapping[str, str]) -> PostgresSession:
        parts = urlsplit(environment["SANDBOX_DATABASE_URL"])
        login = f"{parts.username}:{parts.password}"
        return cls(await asyncpg.connect(f"postgresql://{login}@{host}{parts.path}", timeout=2))

    async def ask(self) -> None:
        await self._connection.fetchval("SELECT 1")

    async def close(self) -> None:
        self._connection.terminate()


class ValkeySession:
    def __init__(self, connection: redis.asyncio.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, port: int, environment: Mapping[str, str]) -> ValkeySession:
        parts = urlsplit(environment["SANDBOX_REDIS_URL"].split(",")[0])
        database = int(parts.path.strip("/") or 0)
        login = {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
        connection = redis.asyncio.Connection(port=port, db=database, socket_timeout=1, **login)
        await connection.connect()
        return cls(connection)

    async def ask(self) -> None:
        await self._connection.send_command("PING")
        await self._connection.read_response()

    async def close(self) -> None:
        await self._connection.disconnect()


@dataclass(frozen=True, slots=True)
class Measured:
    """After how many seconds all of it was so (infinite: never, None: nothing was asked), and what is wrong."""

    after_s: float | None
    wrong: Sequence[str]

    @classmethod
    def of(cls, found: Sequence[tuple[float, str]]) -> Measured:
        return cls(max((took for took, _ in found), default=None), [wrong for _, wrong in found if wrong])


class Credentials:
    """`replace` presses the button of an answer that `hold` has got."""

    def __init__(self, cluster: Cluster, person: Person, commands: Commands, place: Place) -> None:
        self._cluster, self._person, self._commands, self._place = cluster, person, commands, place
        self._environment: Mapping[str, str] = {}
        self._before: Mapping[str, str] = {}
        self._question: Message | None = None
        self._sessions: dict[str, Session] = {}

    async def hold(self) -> None:
        """Log in to every server that lets the sandbox in, with credentials that are new."""
        first = await self._connect()
        if _TOKEN in environment_in(first):
            first = await self._connect()
        self._question = first.message
        assert await self.replace(), "refused with everything there"
        for name in self._lets_in():
            with suppress(Exception):  # a replica of Valkey knows none of the sandboxes
                self._sessions[name] = await self._open(name, self._environment)

    async def replace(self) -> bool:
        """Whether the bot says that it has; a refusal leaves those of before."""
        assert self._question is not None
        pressed = await self._commands.ask("connect", self._person.click(self._question, "New credentials"))
        if pressed is None or not await _has_file(pressed):
            return False
        self._before, self._environment = self._environment, environment_in(pressed)
        return True

    async def ended(self, servers: Collection[str]) -> Measured:
        """When the last session of before was dead on these servers."""
        began_at = time.monotonic()
        found = await asyncio.gather(*(self._ended(name, began_at) for name in servers if name in self._lets_in()))
        return Measured.of(found)

    async def let_in(self, servers: Collection[str]) -> Measured:
        """When the credentials of now are good on these servers, as far as the sandbox's workers come there."""
        come_to = {*self._cluster.nats.servers, self._cluster.postgres.primary, await self._cluster.valkey.master()}
        began_at = time.monotonic()
        found = await asyncio.gather(*(self._let_in(name, began_at) for name in come_to.intersection(servers)))
        return Measured.of(found)

    async def release(self) -> None:
        """End the sessions that are left."""
        for session in self._sessions.values():
            with suppress(Exception):
                async with asyncio.timeout(1):
                    await session.close()
        self._sessions.clear()

    async def _connect(self) -> Reply:
        command = self._person.command(
            "sandbox connect", channel=self._place.guild.general, sandbox=self._place.sandbox
        )
        reply = await self._commands.ask("connect", command)
        assert reply is not None, "no answer with everything there"
        assert reply.message.attachments, reply.message.embeds
        return reply

    async def _ended(self, name: str, began_at: float) -> tuple[float, str]:
        took = await self._dead_after(name, began_at)
        await asyncio.sleep(began_at + DEAD_WITHIN_S - time.monotonic())
        if took > DEAD_WITHIN_S:
            return took, f"old session lives on {name}"
        return took, f"old login at {name}" if await self._is_let_in(name, self._before) else ""

    async def _dead_after(self, name: str, began_at: float) -> float:
        session = self._sessions.get(name)
        while session is not None and time.monotonic() < began_at + DEAD_WITHIN_S:
            if await _is_dead(session.ask):
                return time.monotonic() - began_at
            await asyncio.sleep(_ASK_EVERY_S)
        return 0.0 if session is None else float("inf")

    async def _let_in(self, name: str, began_at: float) -> tuple[float, str]:
        while not await self._is_let_in(name, self._environment):
            if time.monotonic() > began_at + 2 * LET_IN_WITHIN_S:
                return float("inf"), f"not let in at {name}"
            await asyncio.sleep(_ASK_EVERY_S)
        took = time.monotonic() - began_at
        return took, f"let in at {name} after {took:.1f} s" if took > LET_IN_WITHIN_S else ""

    async def _is_let_in(self, name: str, environment: Mapping[str, str]) -> bool:
        with suppress(Exception):
            async with asyncio.timeout(LET_IN_WITHIN_S):
                await (await self._open(name, environment)).close()
            return True
        return False

    async def _open(self, name: str, environment: Mapping[str, str]) -> Session:
        port = self._cluster.servers[name].port
        match name.partition("-")[0]:
            case "nats":
                return await NatsSession.open(f"nats://127.0.0.1:{port}", environment, self._cluster.client_tls)
            case "postgres":
                return await PostgresSession.open(f"127.0.0.1:{port}", environment)
            case _:
                return await ValkeySession.open(port, environment)

    def _lets_in(self) -> list[str]:
        return [name for name in self._cluster.servers if not name.startswith("sentinel")]


async def _has_file(reply: Reply) -> bool:
    """Soon: the new credentials may be shown in the place of a word that they are being made."""
    with suppress(TimeoutError):
        await reply.wait_for(lambda one: one.message.attachments, timeout=_SHOWN_WITHIN_S)
        return True
    return False


async def _is_dead(ask: Callable[[], Awaitable[None]]) -> bool:
    """Silence is no end."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            await ask()
    except TimeoutError:
        return False
    except Exception:
        return True
    return False


async def _ignore(_: Exception) -> None:
    """What a client is told of its own end, `ask` tells."""
