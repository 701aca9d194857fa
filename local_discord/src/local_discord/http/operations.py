"""Every operation of Discord's HTTP API, served here or not, and the fields that its form may have.

`operations.txt` holds them: a method, a path with placeholders, and after a colon the fields. Where there is no colon,
fields aren't looked at: the operation has no form, or has rules of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from local_discord.errors import ApiError, invalid_form
from local_discord.snowflakes import is_snowflake

_NO_SNOWFLAKES = ("instance_id",)
_OLD_NAMES = {"PATCH /guilds/{guild_id}/members/@me/nick": "PATCH /guilds/{guild_id}/members/@me"}
"""What Discord has taken off its list and still serves; nextcord asks for it."""
_OPEN = (
    "GET /gateway",
    "GET /guilds/templates/{code}",
    "GET /guilds/{guild_id}/widget.json",
    "GET /invites/{code}",
    "GET /sticker-packs",
)


@dataclass(frozen=True, slots=True)
class Operation:
    """`name` is method and path, as in the list; no `fields` means that any is taken."""

    name: str
    fields: frozenset[str]

    @property
    def needs_token(self) -> bool:
        """Whether the bot's own token opens it, and not one in its path or none at all."""
        return "_token}" not in self.name and self.name not in _OPEN


@dataclass(slots=True)
class _Step:
    """What may stand at one place of a path."""

    words: dict[str, _Step] = field(default_factory=dict)
    placeholder: tuple[str, _Step] | None = None
    operations: dict[str, Operation] = field(default_factory=dict)
    """By method, those whose path ends here."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, with the words in the places of its path."""

    operation: Operation
    places: dict[str, str]


def _load() -> dict[str, Operation]:
    operations = {}
    for line in Path(__file__).with_name("operations.txt").read_text().splitlines():
        name, _, fields = line.partition(": ")
        operations[name] = Operation(name, frozenset(fields.split()))
    return operations


def _grow(operations: dict[str, Operation]) -> _Step:
    root = _Step()
    old = {name: operations[today] for name, today in _OLD_NAMES.items()}
    for name, operation in (operations | old).items():
        method, path = name.split(" ")
        step = root
        for word in path.split("/")[1:]:
            step = _below(step, word)
        step.operations[method] = operation
    return root


def _below(step: _Step, word: str) -> _Step:
    if not word.startswith("{"):
        return step.words.setdefault(word, _Step())
    step.placeholder = step.placeholder or (word[1:-1], _Step())
    return step.placeholder[1]


OPERATIONS = _load()
"""By name."""
_ROOT = _grow(OPERATIONS)


def find(method: str, raw_path: str) -> Asked:
    """An `ApiError` for a path, or a method of it, that Discord does not have, and for an id that is none."""
    words = [unquote(word) for word in raw_path.split("/")[1:]]
    ends = list(_ends(_ROOT, words, {}))
    if not ends:
        raise ApiError(404, 0, "404: Not Found")
    for step, places in ends:
        if (operation := step.operations.get(method)) is not None:
            _check(places)
            return Asked(operation, places)
    raise ApiError(405, 0, "405: Method Not Allowed")


def _ends(step: _Step, words: list[str], places: dict[str, str]) -> Iterator[tuple[_Step, dict[str, str]]]:
    """Where the words lead; a word stands before a placeholder that would take it too."""
    if not words:
        if step.operations:
            yield step, places
        return
    first, rest = words[0], words[1:]
    if first in step.words:
        yield from _ends(step.words[first], rest, places)
    if step.placeholder is not None and first:
        name, below = step.placeholder
        yield from _ends(below, rest, places | {name: first})


def _check(places: dict[str, str]) -> None:
    for name, word in places.items():
        is_id = name.rstrip("_12").endswith("_id") and name not in _NO_SNOWFLAKES
        if is_id and not is_snowflake(word):
            raise invalid_form((name,), f'Value "{word}" is not snowflake.')
