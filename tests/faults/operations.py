"""What a bot process does to a sandbox, one operation at a time, and the process that does it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection
from uuid import UUID

from loguru import logger
from pydantic import SecretStr

from bot.control_plane import make_reaper, open_control_plane
from bot.errors import SandboxError, ServiceUnavailable
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import OPERATOR, Actor
from bot.settings import Nats, Postgres, Redis, Sandboxes, Settings
from bot.stores.opening import open_stores

HOUR = timedelta(hours=1)
GRACE = HOUR
BUG = "bug: "
STUCK_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Job:
    """One operation on one sandbox. `owner_id` and `guild_id` are for those that need them."""

    operation: str
    sandbox_id: UUID | None
    owner_id: int
    guild_id: int
    key: int | None = None
    """The operator's idempotency key."""

    @property
    def account(self) -> str | None:
        """What the audit log calls whoever asked."""
        return None if self.key is None else f"job {self.key}"

    @property
    def actor(self) -> Actor:
        return replace(OPERATOR, idempotency_key=self.key, account=self.account)


def addresses(stores, dsn: str) -> dict[str, str]:
    """Of the embedded stores, by what `bot_settings` takes."""
    callout = stores.nats_callout
    return {
        "postgres": dsn,
        "redis": stores.redis_url,
        "nats": stores.nats_url,
        "nats_auth": callout.auth_url,
        "nats_system": callout.system_url,
    }


def bot_settings(urls: dict[str, str], seed: str) -> Settings:
    return Settings(
        sandboxes=Sandboxes(grace=GRACE, stuck_after=STUCK_AFTER, max_per_owner=5),
        postgres=Postgres(dsn=SecretStr(urls["postgres"])),
        redis=Redis(url=SecretStr(urls["redis"])),
        nats=Nats(
            url=SecretStr(urls["nats"]),
            auth_url=SecretStr(urls["nats_auth"]),
            system_url=SecretStr(urls["nats_system"]),
            account_seed=SecretStr(seed),
        ),
    )


@asynccontextmanager
async def open_manager(settings: Settings) -> AsyncIterator[SandboxManager]:
    async with open_stores(settings) as stores, open_control_plane(settings, stores) as manager:
        yield manager


def _id(job: Job) -> UUID:
    assert job.sandbox_id is not None
    return job.sandbox_id


OPERATIONS: dict[str, Callable[[SandboxManager, Settings, Job], Awaitable[object]]] = {
    "create": lambda manager, _, job: manager.create(job.actor, owner_id=job.owner_id, guild_ids=[job.guild_id]),
    "extend": lambda manager, _, job: manager.extend_ttl(job.actor, _id(job), HOUR),
    "bind": lambda manager, _, job: manager.register_guild(job.actor, _id(job), job.guild_id),
    "unbind": lambda manager, _, job: manager.unregister_guild(job.actor, job.guild_id),
    "issue": lambda manager, _, job: manager.issue_credentials(job.actor, _id(job), rotate=True),
    "reset": lambda manager, _, job: manager.reset(job.actor, _id(job)),
    "destroy": lambda manager, _, job: manager.destroy(job.actor, _id(job)),
    "sweep": lambda manager, settings, _: make_reaper(settings, manager).sweep(),
}

CHANGES = {
    "create": "sandbox_created",
    "extend": "ttl_extended",
    "bind": "guild_registered",
    "unbind": "guild_unregistered",
    "issue": "credentials_issued",
    "reset": "sandbox_reset",
    "destroy": "sandbox_destroyed",
}
"""What the audit log calls it when such an operation has changed something."""


async def perform(manager: SandboxManager, settings: Settings, job: Job) -> str:
    """The error's code, or an empty text."""
    try:
        await OPERATIONS[job.operation](manager, settings, job)
    except SandboxError as error:
        return error.code
    return ""


def process(urls: dict[str, str], seed: str, channel: Connection) -> None:
    """A bot's process: says that it is ready, then does all jobs that it is given at once and tells how they went."""
    logger.remove()
    logging.disable()
    settings = bot_settings(urls, seed)

    async def serve() -> None:
        async with open_manager(settings) as manager:
            channel.send("ready")
            while jobs := await asyncio.to_thread(channel.recv):
                outcomes = await asyncio.gather(
                    *(perform(manager, settings, job) for job in jobs), return_exceptions=True
                )
                channel.send([f"{BUG}{one!r}" if isinstance(one, BaseException) else one for one in outcomes])

    try:
        asyncio.run(serve())
    except (ServiceUnavailable, EOFError):
        return
    except BaseException as error:
        channel.send([f"{BUG}{error!r}"])
