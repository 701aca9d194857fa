"""The private parts of other libraries that the bot relies on, and the question whether they are still there.

discord.py and nats-py keep these to themselves and may move them in any release. A module that uses one of them asks
`verify` when it is imported, so that another release ends the start with a sentence about what has moved, instead of
losing events later. Whether the parts still do the same is what `tests/unit/test_gateway_seam.py` asks; `make newest`
asks both of the newest releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from types import CodeType


class UnsupportedLibrary(ImportError):
    """A library is installed in a release that the bot cannot work with; the message says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """One private part: where it is, and what the bot does with it, as the end of a sentence.

    `path` is `module:Class.attribute`. What only instances have is looked for among the names that the class's method
    `set_in` mentions. `parameters` are those that the bot passes by name or relies on.
    """

    path: str
    use: str
    set_in: str = ""
    parameters: tuple[str, ...] = ()

    def problem(self) -> str | None:
        """What is wrong with it, in one sentence; None if it is where it was."""
        module, _, qualified = self.path.partition(":")
        *owners, name = qualified.split(".")
        where = f"{module}.{qualified}"
        try:
            owner = import_module(module)
            for each in owners:
                owner = getattr(owner, each)
            if not hasattr(owner, name) and name not in _code(owner, self.set_in).co_names:
                return f"{where} is gone: {self.use}."
            missing = [each for each in self.parameters if each not in _parameters(_code(owner, name))]
        except (ImportError, AttributeError):
            return f"{where} is gone: {self.use}."
        return f"{where} takes no {' and no '.join(missing)}: {self.use}." if missing else None


@dataclass(frozen=True, slots=True)
class Library:
    """A distribution, and the release whose private parts these are."""

    name: str
    supported: str
    parts: tuple[Part, ...]

    @property
    def installed(self) -> str:
        """The release that is installed."""
        return metadata.version(self.name)

    def moved(self) -> Iterator[str]:
        """A sentence for each part that is not where it was."""
        return (problem for part in self.parts if (problem := part.problem()) is not None)


_WEBSOCKET = "discord.gateway:DiscordWebSocket"
_SHARD = "discord.shard:Shard"
_CLIENT = "nats.aio.client:Client"
_PARSER = "nats.protocol.parser:Parser"

LIBRARIES = {
    library.name: library
    for library in (
        Library(
            "discord.py",
            "2.7.1",
            (
                Part("discord.client:DiscordWebSocket", "a plain client connects with the class that stands here"),
                Part("discord.shard:DiscordWebSocket", "a shard connects with the class that stands here"),
                Part(
                    f"{_WEBSOCKET}.from_client",
                    "the tap resumes a saved session in it instead of identifying",
                    parameters=("client", "initial", "gateway", "shard_id", "session", "sequence", "resume"),
                ),
                Part(f"{_WEBSOCKET}.DEFAULT_GATEWAY", "the tap sees by it that discord.py names no other gateway"),
                Part(
                    f"{_WEBSOCKET}.received_message",
                    "the tap routes each message in it before discord.py parses any",
                    parameters=("msg",),
                ),
                Part(f"{_WEBSOCKET}.poll_event", "the tap also takes the messages that have come with the first one"),
                Part(
                    f"{_WEBSOCKET}.send_as_json",
                    "the tap sends no IDENTIFY and no RESUME with it without a lease",
                    parameters=("data",),
                ),
                Part(f"{_WEBSOCKET}.IDENTIFY", "the tap knows by it what opens a session"),
                Part(f"{_WEBSOCKET}.RESUME", "the tap knows by it what goes on with a session"),
                Part(
                    "discord.shard:AutoShardedClient.launch_shards",
                    "the launcher takes its place: a shard is launched when its lease is held",
                ),
                Part(
                    "discord.shard:AutoShardedClient.launch_shard",
                    "a shard is launched with it",
                    parameters=("gateway", "shard_id", "initial"),
                ),
                Part(
                    "discord.shard:AutoShardedClient._get_client",
                    "a connection finds there whose lease it needs",
                    set_in="__init__",
                ),
                Part(
                    "discord.state:AutoShardedConnectionState.shard_ids",
                    "discord.py is told there which shards it has",
                    set_in="__init__",
                ),
                Part(f"{_WEBSOCKET}.close", "the tap closes so that Discord keeps the session", parameters=("code",)),
                Part(
                    f"{_WEBSOCKET}.send_heartbeat",
                    "the tap names the last event that was routed in it",
                    parameters=("data",),
                ),
                Part(f"{_WEBSOCKET}.socket", "the tap reads more messages from it", set_in="__init__"),
                Part(f"{_WEBSOCKET}.session_id", "the tap saves the session by it", set_in="__init__"),
                Part(f"{_WEBSOCKET}.sequence", "the tap counts on for the events it keeps", set_in="__init__"),
                Part(f"{_WEBSOCKET}.gateway", "the tap saves where to resume", set_in="from_client"),
                Part(f"{_WEBSOCKET}.shard_id", "the tap knows the shard by it", set_in="from_client"),
                Part(f"{_WEBSOCKET}.shard_count", "the tap knows the guilds of a shard by it", set_in="from_client"),
                Part(f"{_WEBSOCKET}._connection", "the tap finds the application's id there", set_in="from_client"),
                Part(
                    f"{_WEBSOCKET}._decompressor",
                    "the tap unpacks in the stream's one context, which discord.py would use",
                    set_in="__init__",
                ),
                Part("discord.utils:_ActiveDecompressionContext.decompress", "the tap unpacks messages with it"),
                Part(
                    f"{_WEBSOCKET}._keep_alive",
                    "the tap shows it that messages come, or else it would end the connection",
                    set_in="__init__",
                ),
                Part("discord.gateway:KeepAliveHandler.tick", "the tap calls it for the events that it keeps"),
                Part(
                    "discord.gateway:ReconnectWebSocket.__init__",
                    "the tap raises it when a stream is broken",
                    parameters=("shard_id",),
                ),
                Part(f"{_SHARD}.reidentify", "a shard connects again without the others waiting", parameters=("exc",)),
                Part(f"{_SHARD}.reconnect", "a shard connects again without the others waiting"),
                Part(f"{_SHARD}.worker", "a shard reads on in the task in which it has connected again"),
                Part(f"{_SHARD}._cancel_task", "a shard reads on one connection at a time"),
                Part(f"{_SHARD}._task", "a shard is stopped with the task that it is given", set_in="__init__"),
                Part(f"{_SHARD}._client", "a shard knows by it whether its events are routed", set_in="__init__"),
                Part(f"{_SHARD}._dispatch", "a shard tells of its disconnect with it", set_in="__init__"),
                Part(f"{_SHARD}._queue_put", "a shard ends its client with it", set_in="__init__"),
                Part("discord.shard:EventItem.__init__", "a shard ends its client with it"),
                Part("discord.shard:EventType.terminate", "a shard ends its client with it"),
                Part(_SHARD, "a client makes its shards of the class that stands here"),
                Part("discord.http:Route.BASE", "`discord.api_base` is put there"),
                Part("discord.http:HTTPClient.get_bot_gateway", "that API is asked there for its gateway"),
                Part(
                    "discord.http:HTTPClient.request",
                    "commands are read in all languages and changed one by one with it",
                    parameters=("route",),
                ),
                Part(
                    "discord.http:Route.__init__",
                    "the requests about commands are made of it",
                    parameters=("method", "path"),
                ),
                Part("discord.http:HTTPClient.close", "a login that failed ends its session with it"),
                Part("discord.http:HTTPClient.connector", "the next login makes another one", set_in="__init__"),
                Part(
                    "discord.client:Client._connection",
                    "the reply in a worker's place is made from it",
                    set_in="__init__",
                ),
                Part(
                    "discord.interactions:Interaction.__init__",
                    "the reply in a worker's place is one to an interaction that discord.py has not seen",
                    parameters=("data", "state"),
                ),
            ),
        ),
        Library(
            "nats-py",
            "2.16.0",
            (
                Part(f"{_CLIENT}._ps", "acknowledgements are taken out before it parses them", set_in="__init__"),
                Part(f"{_PARSER}.parse", "the reader of acknowledgements takes its place", parameters=("data",)),
                Part(f"{_PARSER}.state", "the reader sees by it that no message is half read", set_in="reset"),
                Part(f"{_PARSER}.buf", "the reader leaves half an acknowledgement there", set_in="reset"),
                Part("nats.protocol.parser:AWAITING_CONTROL_LINE", "the reader sees by it that a message may begin"),
                Part(
                    "nats.aio.subscription:Subscription._id",
                    "the relay knows by it whose a message is before it is parsed",
                    set_in="__init__",
                ),
                Part(f"{_CLIENT}._pending", "events are written there, and dropped at a disconnect", set_in="__init__"),
                Part(f"{_CLIENT}._pending_data_size", "the flusher writes nothing while it is 0", set_in="__init__"),
                Part(f"{_CLIENT}._flush_pending", "the publisher wakes the flusher with it"),
                Part(
                    f"{_CLIENT}._server_info", "by its server_id it is seen that another one serves", set_in="__init__"
                ),
                Part(f"{_CLIENT}._transport", "one that cuts off lost connections is put there", set_in="__init__"),
                Part("nats.aio.transport:TcpTransport._io_writer", "it has the socket", set_in="__init__"),
            ),
        ),
        Library(
            "aiohttp",
            "3.14.5",
            (
                Part("aiohttp:ClientWebSocketResponse._reader", "the tap looks there for more", set_in="__init__"),
                Part(
                    "aiohttp._websocket.reader:WebSocketDataQueue._buffer",
                    "the tap sees there whether more messages have come with the first",
                    set_in="__init__",
                ),
            ),
        ),
        Library(
            "asyncpg",
            "0.32.0",
            (
                Part(
                    "asyncpg.connection:Connection._intro_query",
                    "a session asks PostgreSQL for a type with a plainer query that is put there",
                    set_in="__init__",
                ),
            ),
        ),
    )
}
"""By the distribution's name. What would show that one of them means something else is in the tests of the seam."""


def verify(*names: str) -> None:
    """`UnsupportedLibrary` names every private part of these libraries that has moved."""
    for library in (LIBRARIES[name] for name in names):
        if moved := list(library.moved()):
            raise UnsupportedLibrary(
                f"{library.name} {library.installed} is installed, and the bot is made for {library.supported}. "
                + " ".join(moved)
            )


def require_version(name: str) -> None:
    """`UnsupportedLibrary` if another release is installed than the one whose behaviour the bot was tried with."""
    library = LIBRARIES[name]
    if library.installed != library.supported:
        raise UnsupportedLibrary(
            f"{name} {library.installed} is installed, and the bot is made for {library.supported}: "
            f"install {name}=={library.supported}."
        )


def _code(owner: object, function: str) -> CodeType:
    """`AttributeError` if it is no function written in Python."""
    code: CodeType = getattr(owner, function).__code__
    return code


def _parameters(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
