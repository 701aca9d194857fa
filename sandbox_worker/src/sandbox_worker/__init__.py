"""What a worker needs of its sandbox. Knows nothing of the bot, nor of discord.py.

async with Sandbox.from_env() as sandbox:
    async for event in sandbox.events("MESSAGE_CREATE"):
        await event.ack()
"""

from sandbox_worker.environment import Environment
from sandbox_worker.errors import InteractionFailed, NoInteraction, SandboxEnded, UnknownKeys, WrongEnvironment
from sandbox_worker.events import Event, StoredEvent
from sandbox_worker.messages import Message, Messages
from sandbox_worker.sandbox import Sandbox

__all__ = [
    "Environment",
    "Event",
    "InteractionFailed",
    "Message",
    "Messages",
    "NoInteraction",
    "Sandbox",
    "SandboxEnded",
    "StoredEvent",
    "UnknownKeys",
    "WrongEnvironment",
]
