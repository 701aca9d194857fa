"""A local Discord: its HTTP API and gateway, for an unmodified discord.py, driven by Python calls."""

from local_discord.channels import Channel
from local_discord.errors import CommandUsageError, UsageError
from local_discord.guilds import Guild, Member, Role
from local_discord.messages import Attachment, Message
from local_discord.people import Person
from local_discord.replies import Choice, Modal, Reply
from local_discord.server import LocalDiscord
from local_discord.sessions import Dispatched

__all__ = [
    "Attachment",
    "Channel",
    "Choice",
    "CommandUsageError",
    "Dispatched",
    "Guild",
    "LocalDiscord",
    "Member",
    "Message",
    "Modal",
    "Person",
    "Reply",
    "Role",
    "UsageError",
]
