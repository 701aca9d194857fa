"""PostgreSQL, Valkey and NATS from their wheels, in one data folder, for as long as the bot runs."""

from bot.stores.embedded.configuration import PostgresLimits
from bot.stores.embedded.errors import EmbeddedError, FolderInUse, FolderMissing, GuardianEnded
from bot.stores.embedded.processes import ServerState
from bot.stores.embedded.programs import Programs
from bot.stores.embedded.reach import Reach
from bot.stores.embedded.stores import EmbeddedStores

__all__ = [
    "EmbeddedError",
    "EmbeddedStores",
    "FolderInUse",
    "FolderMissing",
    "GuardianEnded",
    "PostgresLimits",
    "Programs",
    "Reach",
    "ServerState",
]
