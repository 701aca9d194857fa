"""What breaks, for as long as a context lasts, and which alerts tell of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from unittest.mock import patch
from uuid import uuid4

import aiohttp
import asyncpg

from bot import certificates, names
from bot.stores import stream_marks
from bot.stores.embedded.configuration import CONTROL_ROLE
from local_discord import RateLimit
from tests.alerts.scene import Scene
from tests.chaos.service import send
from tests.cluster.server import LOOPBACK

type Fault = Callable[[Scene], AbstractAsyncContextManager[None]]

ROOM_LEFT = 4e8
"""Bytes. The alert's are a billion."""
_AT_ONCE = 250
"""Requests to the relay, which passes forty a second on."""
_PEOPLE = 6
_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@asynccontextmanager
async def standing_still(scene: Scene) -> AsyncIterator[None]:
    scene.service.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.service.signal(signal.SIGCONT)


@asynccontextmanager
async def turned_away(scene: Scene) -> AsyncIterator[None]:
    """Discord's gateway ends each connection at its beginning."""
    scene.discord.turn_away("HELLO", 1006)
    await scene.discord.hang_up()
    try:
        yield
    finally:
        scene.discord.turn_away("HELLO", None)


@asynccontextmanager
async def frozen(store: str, scene: Scene) -> AsyncIterator[None]:
    """The store stands still, and somebody goes on asking for what needs it."""
    pids = scene.service.servers(store)
    send(signal.SIGSTOP, pids)
    try:
        async with AsyncExitStack() as stack:
            for _ in range(_PEOPLE):
                asking = asyncio.create_task(_repeat(partial(_ask, scene), every_s=1))
                stack.callback(asking.cancel)
            yield
    finally:
        send(signal.SIGCONT, pids)


@asynccontextmanager
async def forgotten_session(scene: Scene) -> AsyncIterator[None]:
    """The bot is killed, and Discord no longer has its session when it is back."""
    scene.service.signal(signal.SIGKILL)
    await scene.discord.wait_until_gone()
    scene.discord.forget_sessions()
    yield


@asynccontextmanager
async def changed_stream(scene: Scene, **config: object) -> AsyncIterator[None]:
    """The stream of the sandbox whose events come all the time is not as the bot has made it."""
    jetstream = scene.nats.jetstream()
    before = (await jetstream.stream_info(names.stream_name(scene.lab_id))).config
    await jetstream.update_stream(before.evolve(**config))
    try:
        yield
    finally:
        await jetstream.update_stream(before)


@asynccontextmanager
async def lost_sessions(scene: Scene) -> AsyncIterator[None]:
    """PostgreSQL ends all sessions, again and again."""
    connection = await asyncpg.connect(scene.stores.superuser_url())
    ending = asyncio.create_task(_repeat(lambda: connection.execute(_SESSIONS), every_s=0.5))
    try:
        yield
    finally:
        ending.cancel()
        await asyncio.wait([ending])
        await connection.close()


@asynccontextmanager
async def lost_right(scene: Scene) -> AsyncIterator[None]:
    """The bot may not read what it has to deliver."""
    await scene.sql(f"REVOKE SELECT ON sandbox_control.sandbox_notices FROM {CONTROL_ROLE}")
    try:
        yield
    finally:
        await scene.sql(f"GRANT SELECT ON sandbox_control.sandbox_notices TO {CONTROL_ROLE}")


@asynccontextmanager
async def endless_teardown(scene: Scene) -> AsyncIterator[None]:
    """A sandbox is over, and NATS does not answer whoever takes it down."""
    async with frozen("nats", scene):
        await scene.sql(
            "UPDATE sandbox_control.sandboxes SET created_at = created_at - interval '2 days',"
            " expires_at = expires_at - interval '2 days' WHERE name = 'in-attic'"
        )
        await _until(scene, "SELECT status = 'destroying' FROM sandbox_control.sandboxes WHERE name = 'in-attic'")
        await scene.sql(
            "UPDATE sandbox_control.sandboxes SET status_changed_at = now() - interval '1 hour' WHERE name = 'in-attic'"
        )
        yield


@asynccontextmanager
async def closed_messages(scene: Scene) -> AsyncIterator[None]:
    """A notice was to be told an hour ago, and Discord takes no direct message."""
    for path in ("/users/@me/channels", "/messages"):
        scene.discord.set_failing(path, 503)
    try:
        await scene.sql(
            "INSERT INTO sandbox_control.sandbox_notices (sandbox_id, kind, expires_at, created_at)"
            " SELECT id, 'expiry_warning', expires_at, now() - interval '1 hour'"
            " FROM sandbox_control.sandboxes WHERE name = 'in-lab'"
        )
        yield
    finally:
        for path in ("/users/@me/channels", "/messages"):
            scene.discord.set_failing(path, None)


@asynccontextmanager
async def foreign_stream(scene: Scene) -> AsyncIterator[None]:
    """It is made like a sandbox's, by another installation, say."""
    jetstream, stranger = scene.nats.jetstream(), uuid4()
    name, subjects = names.stream_name(stranger), [f"sandbox.{stranger}.events.>"]
    await jetstream.add_stream(name=name, subjects=subjects, description=stream_marks.MARK, max_bytes=1 << 20)
    try:
        yield
    finally:
        await jetstream.delete_stream(name)


@asynccontextmanager
async def open_schema(scene: Scene) -> AsyncIterator[None]:
    """Somebody has given everybody what the bootstrap takes away; it is found out when a server is started again."""
    await scene.sql("GRANT USAGE ON SCHEMA public TO PUBLIC")
    send(signal.SIGKILL, scene.service.servers("redis")[:1])
    try:
        yield
    finally:
        await scene.sql("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        send(signal.SIGKILL, scene.service.servers("redis")[:1])


@asynccontextmanager
async def flooded_relay(scene: Scene) -> AsyncIterator[None]:
    """A developer's bot asks far more than Discord allows."""
    path = f"/channels/{scene.lab.general.id}/messages?limit=1"
    async with scene.relay_session() as session, AsyncExitStack() as stack:
        for _ in range(_AT_ONCE):
            asking = asyncio.create_task(_repeat(partial(scene.relayed, session, path), every_s=0))
            stack.callback(asking.cancel)
        yield


@asynccontextmanager
async def limited(scene: Scene) -> AsyncIterator[None]:
    """Discord answers one request in ten seconds, and all others with 429."""
    limits = scene.discord.settings.rate_limits
    limits["GET /channels/{channel_id}/messages"] = RateLimit(1, 10.0)
    try:
        async with flooded_relay(scene):
            yield
    finally:
        limits.clear()


@asynccontextmanager
async def refused(scene: Scene) -> AsyncIterator[None]:
    """Discord refuses whatever a developer's bot asks."""
    scene.discord.set_failing("/messages", 403)
    try:
        async with flooded_relay(scene):
            yield
    finally:
        scene.discord.set_failing("/messages", None)


@asynccontextmanager
async def full_disk(scene: Scene) -> AsyncIterator[None]:
    """Nearly: what is left is enough for the stores, for a while."""
    room = os.statvfs(scene.data)
    ballast = scene.data / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(room.f_bavail * room.f_frsize - ROOM_LEFT))
    try:
        yield
    finally:
        ballast.unlink()


@asynccontextmanager
async def old_certificate(scene: Scene) -> AsyncIterator[None]:
    """It ends in some days; then `sandbox-bot certificates` renews it. The bot reads it when it starts."""
    with patch.object(certificates, "SERVER_LIVES", timedelta(days=10)):
        certificates.write_certificates(scene.certificates, [LOOPBACK])
    scene.service.signal(signal.SIGTERM)
    try:
        yield
    finally:
        argv = (sys.executable, "-m", "bot", "certificates", LOOPBACK, "--folder", str(scene.certificates))
        renewing = await asyncio.create_subprocess_exec(
            *argv, cwd=scene.folder, env=scene.environment, stdout=asyncio.subprocess.DEVNULL
        )
        assert await renewing.wait() == 0
        scene.service.signal(signal.SIGTERM)


FAULTS: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "the bot stands still": (standing_still, ("SandboxBotDown", "SandboxProcessDown", "SandboxShardUnowned")),
    "Discord's gateway turns it away": (turned_away, ("SandboxGatewayDisconnected",)),
    "PostgreSQL stands still": (
        partial(frozen, "postgres"),
        (
            "SandboxStoreAway postgres",
            "SandboxRoutesStale",
            "SandboxCommandsFailing",
        ),
    ),
    "Valkey stands still": (partial(frozen, "redis"), ("SandboxStoreAway redis",)),
    "NATS stands still": (
        partial(frozen, "nats"),
        ("SandboxStoreAway nats", "SandboxEventsUnacknowledged", "SandboxPublishWindowFull"),
    ),
    "Discord has forgotten the session": (forgotten_session, ("SandboxEventsLost",)),
    "a stream refuses events": (partial(changed_stream, max_msg_size=1), ("SandboxEventsRefused",)),
    "a stream acknowledges nothing": (partial(changed_stream, no_ack=True), ("SandboxStreamUnavailable",)),
    "a right was taken away": (lost_right, ("SandboxPartFailing",)),
    "PostgreSQL ends sessions": (lost_sessions, ("SandboxPartRestarting",)),
    "a teardown does not end": (endless_teardown, ("SandboxReaperBehind",)),
    "direct messages fail": (closed_messages, ("SandboxNoticesStuck",)),
    "a foreign stream": (foreign_stream, ("SandboxOrphansLeft",)),
    "an open schema": (open_schema, ("SandboxIsolationByConvention",)),
    "a bot floods the relay": (flooded_relay, ("SandboxRelayQueueSlow",)),
    "Discord limits the relay": (limited, ("SandboxRelayRateLimited",)),
    "Discord refuses the relay": (refused, ("SandboxInvalidRequests",)),
    "a full disk": (full_disk, ("SandboxDiskFull",)),
    "an old certificate": (old_certificate, ("SandboxCertificateEnds",)),
}
"""By name: the fault, and the alerts that it has to set off."""


async def _repeat(do: Callable[[], Awaitable[object]], *, every_s: float) -> None:
    """Without end, whatever becomes of it."""
    while True:
        with suppress(aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await do()
        await asyncio.sleep(every_s)


async def _ask(scene: Scene) -> None:
    await scene.person.command("sandbox list", channel=scene.lab.general)


async def _until(scene: Scene, query: str) -> None:
    async with asyncio.timeout(60):
        while not await scene.sql(query):
            await asyncio.sleep(0.2)
