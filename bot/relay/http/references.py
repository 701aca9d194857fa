"""What a request names beside its path: the channels and servers in its query and body. Pure.

Found by the names that Discord gives to such fields, wherever they stand: a field that is new there is looked at too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from bot.relay.http.bodies import BadBody
from bot.relay.http.operations import Operation
from bot.relay.http.rules import Rule

_CHANNELS = frozenset({"channel_id", "channel_ids", "thread_id", "parent_id", "exempt_channels"})
_GUILDS = frozenset({"guild_id", "guild_ids"})
_KEPT_BY_THE_RELAY = (Rule.COMMANDS, Rule.GUILD_COMMANDS)
_FOREIGN_FORMS = ("/github", "/slack")
"""Of other services, in which no channel is named by an id of Discord's."""
_MOVES_CHANNELS = ("PATCH", "/guilds/{guild}/channels")
_QUERY_NAME = frozenset("abcdefghijklmnopqrstuvwxyz_")
_MOST_PARAMETERS = 100

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class References:
    """Ids of channels (threads too) and of servers."""

    channels: frozenset[int]
    guilds: frozenset[int]


def references(operation: Operation, body: Any, query: Query) -> References:
    """`BadBody` if such a field has no id. None, by which a bot takes a channel away, is no reference."""
    channels: set[int] = set()
    guilds: set[int] = set()
    for name, value in (*query, *_fields(_looked_at(operation, body))):
        if _is_of(name, _CHANNELS, ("_channel_id", "_channel_ids")):
            channels.update(_ids(name, value))
        elif _is_of(name, _GUILDS, ("_guild_id", "_guild_ids")):
            guilds.update(_ids(name, value))
    return References(frozenset(channels), frozenset(guilds))


def _looked_at(operation: Operation, body: Any) -> Any:
    """A body without what others look at, and with a name for what has none."""
    if operation.rule in _KEPT_BY_THE_RELAY or operation.template.endswith(_FOREIGN_FORMS):
        return None
    if operation.rule is Rule.POST_MESSAGE and isinstance(body, dict):
        return {key: value for key, value in body.items() if key != "message_reference"}
    if (operation.method, operation.template) == _MOVES_CHANNELS and isinstance(body, list):
        return [body, {"channel_ids": [each.get("id") for each in body if isinstance(each, dict)]}]
    return body


def snowflake(value: Any, name: str) -> int:
    """Discord takes them as text and as numbers; `BadBody` for everything else."""
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or not 0 < int(text[:21]) < 1 << 64:
        raise BadBody(f"{name} is no snowflake.")
    return int(text)


def read_query(text: str) -> Query:
    """`BadBody` for names that Discord might read otherwise than they are read here."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise BadBody("The query cannot be read.") from None
    for name, _ in pairs:
        if not name or not _QUERY_NAME.issuperset(name):
            raise BadBody("A parameter of the query has an odd name.")
    return pairs


def written_query(query: Query) -> str:
    """As it is sent to Discord."""
    return urlencode(query)


def _is_of(name: str, names: frozenset[str], ends: tuple[str, ...]) -> bool:
    return name in names or name.endswith(ends)


def _ids(name: str, value: Any) -> Iterator[int]:
    for each in value if isinstance(value, list) else [value]:
        if each is not None:
            yield snowflake(each, name)


def _fields(data: Any) -> Iterator[tuple[str, Any]]:
    """Of all objects in one another."""
    waiting = [data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            yield from each.items()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
