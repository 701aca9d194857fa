"""How each kind of event reaches a client with certain intents. Pure."""

from __future__ import annotations

from enum import Enum, auto

from bot.relay.gateway import intents
from bot.relay.gateway.intents import INTENT_OF
from sandbox_worker import protocol

GAP = protocol.GAP_EVENT.encode()
OF_GUILDS = frozenset({b"GUILD_CREATE", b"GUILD_UPDATE", b"GUILD_DELETE"})
"""Their `id` is the guild's."""
CAUGHT_UP = frozenset(name for name in INTENT_OF if name.startswith((b"MESSAGE_CREATE", b"MESSAGE_REACTION_")))
"""Beside interactions, what a bot is told of though it happened before its state was read."""

_OF_MESSAGES = frozenset({b"MESSAGE_CREATE", b"MESSAGE_UPDATE"})
_ALWAYS_READ = OF_GUILDS | intents.OF_MEMBERSHIP | {b"INTERACTION_CREATE", GAP}
_IN_GUILD = intents.GUILDS | intents.GUILD_MEMBERS | intents.GUILD_EXPRESSIONS | intents.GUILD_SCHEDULED_EVENTS


class Way(Enum):
    """What has to be done with an event of that name."""

    UNWANTED = auto()
    AS_IT_IS = auto()
    STRIPPED = auto()
    """Without what only bots with the intent for it may read."""
    WITH_THOUGHT = auto()
    """It is read, and the answer to a question may be needed."""


class Ways(dict[bytes, Way]):
    """By the event's name, as in a subject; each is found out once."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self._wanted = wanted

    def is_unwanted(self, name: bytes) -> bool:
        """Whether the client's intents leave it out."""
        return name in INTENT_OF and not INTENT_OF[name] & self._wanted

    def changes_guild(self, name: bytes) -> bool:
        """Whether it is part of what a GUILD_CREATE shows."""
        return bool(INTENT_OF.get(name, 0) & _IN_GUILD) and not self.is_unwanted(name)

    def __missing__(self, name: bytes) -> Way:
        if name in _ALWAYS_READ:
            way = Way.WITH_THOUGHT
        elif self.is_unwanted(name):
            way = Way.UNWANTED
        elif name in _OF_MESSAGES and not self._wanted & intents.MESSAGE_CONTENT:
            way = Way.STRIPPED
        else:
            way = Way.AS_IT_IS
        self[name] = way
        return way
