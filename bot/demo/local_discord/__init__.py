"""A local Discord: its HTTP API and gateway, for an unmodified discord.py, driven by Python calls."""

from bot.demo.local_discord.channels import Channel
from bot.demo.local_discord.errors import CommandUsageError, UsageError
from bot.demo.local_discord.guilds import Guild, Member, Role
from bot.demo.local_discord.messages import Attachment, Message
from bot.demo.local_discord.people import Person
from bot.demo.local_discord.replies import Choice, Modal, Reply
from bot.demo.local_discord.server import LocalDiscord
from bot.demo.local_discord.sessions import Dispatched

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
