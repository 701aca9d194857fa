"""What every part of the world shares: its settings, its ids, the bot's user, and where events are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from local_discord.clock import Clock
from local_discord.rules import intents
from local_discord.snowflakes import Snowflakes
from local_discord.wire import Json
from local_discord.world.session_starts import SessionStarts
from local_discord.world.users import User

Listener = Callable[[str, Json, int | None], object]
"""Takes an event's name, its data, and its guild's id, which is None for what belongs to no guild."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in so many seconds."""

    requests: int
    per_s: float


@dataclass
class Settings:
    """How this Discord behaves; what is changed while a bot is connected holds from then on."""

    token: str
    shards: int = 1
    clock: Clock = field(default_factory=Clock)
    heartbeat_interval_ms: int = 41_250
    compresses: bool = False
    """Whether the gateway compresses for the clients that ask for it; uncompressed text is easier to debug."""
    approved_intents: int = intents.PRIVILEGED
    callback_deadline_s: float = 3.0
    """How long the bot has for the first answer to an interaction."""
    token_lifetime_s: float = 900.0
    """How long an interaction's token is good for further answers."""
    daily_command_creates: int = 200
    """How many application commands may be created everywhere, and in each guild; no day ends here."""
    kept_events: int = 10_000
    """How many of its latest events a session can replay."""
    sessions_kept_s: float = 300.0
    """How long a session without a connection can be resumed."""
    rate_limit: RateLimit = RateLimit(1_000, 1.0)
    """Of each operation on each guild, channel or webhook."""
    rate_limits: dict[str, RateLimit] = field(default_factory=dict)
    """Of single operations instead, by their line in the list: `POST /channels/{channel_id}/messages`."""
    global_rate_limit: RateLimit = RateLimit(10_000, 1.0)
    """Of all requests together."""
    refuses_unknown_fields: bool = True
    """Whether a form with a field that Discord's own list does not have is answered with 400. Discord ignores most."""
    session_starts: SessionStarts = field(default_factory=SessionStarts)
    resume_gateway: Literal["named", "null", "absent"] = "named"
    """What READY says of the address to resume at."""


class Events:
    """Tells what happened. The world knows no gateway: that listens."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """From now on it is called with every event, at once and in the order of what happens."""
        self._listeners.append(listener)

    def emit(self, event: str, data: Json, guild_id: int | None = None) -> None:
        """Only for what the bot may hear of: who is in which guild is not looked at again."""
        for listener in self._listeners:
            listener(event, data, guild_id)


class Core:
    """One for a world; handed to each of its parts, which so need not know the world."""

    def __init__(self, settings: Settings, application_id: int | None = None) -> None:
        self.settings = settings
        self.snowflakes = Snowflakes(settings.clock)
        self.events = Events()
        self.bot = User(application_id or self.snowflakes.next(), "bot", bot=True)
        self.origin = ""
        """`http://host:port` of the server; empty before it has started."""

    @property
    def clock(self) -> Clock:
        """Discord's."""
        return self.settings.clock

    @property
    def application_id(self) -> int:
        """The same as the bot's, as with every application of the last years."""
        return self.bot.id

    @property
    def api_base(self) -> str:
        """What a client puts in front of the API's paths."""
        return f"{self.origin}/api/v10"

    @property
    def gateway_url(self) -> str:
        """Where the WebSockets are, without a query."""
        return f"{self.origin.replace('http', 'ws', 1)}/gateway"
