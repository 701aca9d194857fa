"""A local Discord: its HTTP API and gateway, for unmodified bots, driven by Python calls."""

from local_discord.bot_process import BotEnded, BotProcess, run_bot
from local_discord.errors import CommandUsageError, UsageError
from local_discord.gateway.sessions import Dispatched
from local_discord.people.person import Person
from local_discord.server import LocalDiscord
from local_discord.world.channels import Channel, Message
from local_discord.world.core import RateLimit, Settings
from local_discord.world.drafts import Attachment
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member, Role
from local_discord.world.replies import Choice, Modal, Reply
from local_discord.world.threads import Thread
from local_discord.world.users import User

__all__ = [
    "Attachment",
    "BotEnded",
    "BotProcess",
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
    "RateLimit",
    "Reply",
    "Role",
    "Settings",
    "Thread",
    "UsageError",
    "User",
    "run_bot",
]
