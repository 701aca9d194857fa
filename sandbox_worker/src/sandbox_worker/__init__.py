"""What a worker needs of its sandbox, whatever Discord library it uses, or none.

async with Sandbox.from_env() as sandbox:
    async for event in sandbox.events("MESSAGE_CREATE"):
        await event.ack()

It logs to `logging.getLogger("sandbox_worker")`, and is silent until that is configured.
"""

import logging

from sandbox_worker.environment import Environment
from sandbox_worker.errors import (
    CertificateRefused,
    DiscordUnavailable,
    InteractionFailed,
    MissingExtra,
    NotAnInteraction,
    ReplayRefused,
    SandboxEnded,
    ServiceUnavailable,
    TooManyConnections,
    UnsupportedCommand,
    WorkerError,
    WrongEnvironment,
)
from sandbox_worker.events import Event, StoredEvent
from sandbox_worker.sandbox import Sandbox
from sandbox_worker.work_messages import Message, MessageStream

__all__ = [
    "CertificateRefused",
    "DiscordUnavailable",
    "Environment",
    "Event",
    "InteractionFailed",
    "Message",
    "MessageStream",
    "MissingExtra",
    "NotAnInteraction",
    "ReplayRefused",
    "Sandbox",
    "SandboxEnded",
    "ServiceUnavailable",
    "StoredEvent",
    "TooManyConnections",
    "UnsupportedCommand",
    "WorkerError",
    "WrongEnvironment",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
