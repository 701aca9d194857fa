"""What a sandbox says of itself beside its description: tags, where it was made, from which template, and more."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bot import constants
from bot.errors import InvalidInput

_TAG_NAME = re.compile(rf"[\w./-]{{1,{constants.MAX_TAG_NAME_LENGTH}}}")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""PostgreSQL takes no NUL, and half of a surrogate pair is no text in UTF-8."""


class CreatedFrom(StrEnum):
    """By what a sandbox was made: a command in Discord, the command line, or a caller of the manager."""

    DISCORD = "discord"
    CLI = "cli"
    API = "api"


class Metadata(BaseModel):
    """The object in `sandboxes.metadata`. Whoever sees the sandbox sees all of it: nothing in it is a secret.

    Other keys hold any JSON. `InvalidInput`, from making one, says what is wrong.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    tags: dict[str, str] = Field(default_factory=dict)
    created_from: CreatedFrom = CreatedFrom.API
    template: str | None = None

    @field_validator("tags", mode="before")
    @classmethod
    def _check_tags(cls, tags: object) -> dict[str, str]:
        if not isinstance(tags, dict):
            raise InvalidInput("Tags are names with a text each, like team=red.")
        return check_tags(tags)

    @field_validator("created_from", mode="before")
    @classmethod
    def _check_created_from(cls, value: object) -> CreatedFrom:
        if not isinstance(value, str) or value not in set(CreatedFrom):
            raise InvalidInput("`created_from` is one of {choices}.", choices=", ".join(CreatedFrom))
        return CreatedFrom(value)


def check_metadata(values: Mapping[str, object] | None, *, template: str) -> dict[str, Any]:
    """The object to store. `template` is what the sandbox is made from, whatever the values say of it.

    `InvalidInput` if it is no JSON, too large, or has a tag that is none.
    """
    given = {**(values or {}), "template": template}
    _check_json(given)
    try:
        checked = Metadata.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        raise InvalidInput("The metadata is wrong: {detail}.", detail=error.errors()[0]["msg"]) from error
    if len(orjson.dumps(checked)) > constants.MAX_METADATA_BYTES:
        raise too_large()
    return checked


def too_large() -> InvalidInput:
    """What is refused because of its size, by the bot or by PostgreSQL's CHECK, which counts its own spelling."""
    return InvalidInput("Metadata has at most {most} bytes as JSON.", most=constants.MAX_METADATA_BYTES)


def check_tags(tags: Mapping[Any, Any]) -> dict[str, str]:
    """The tags as they are stored, the spaces around their texts gone; `InvalidInput` names the limit that was hit."""
    if len(tags) > constants.MAX_TAGS:
        raise InvalidInput(
            "A sandbox has at most {most} tags, not {number}.", most=constants.MAX_TAGS, number=len(tags)
        )
    return {_check_tag_name(name): _check_tag_text(name, text) for name, text in tags.items()}


def read_tags(texts: Iterable[str]) -> dict[str, str]:
    """Tags that are written `name=text` each; `InvalidInput` if one is not, or a name comes twice."""
    tags: dict[str, str] = {}
    for written in texts:
        name, equals, text = (part.strip() for part in written.partition("="))
        if not equals:
            raise InvalidInput("A tag is written like team=red, not “{written}”.", written=written.strip()[:100])
        if name in tags:
            raise InvalidInput("The tag “{name}” is given twice.", name=name[:100])
        tags[name] = text
    return check_tags(tags)


def write_tags(tags: Mapping[str, str]) -> list[str]:
    """What `read_tags` reads, by their names: PostgreSQL keeps no order."""
    return [f"{name}={text}" for name, text in sorted(tags.items())]


def _check_tag_name(name: object) -> str:
    if not isinstance(name, str) or not _TAG_NAME.fullmatch(name):
        raise InvalidInput(
            "A tag's name has 1 to {most} letters, digits, dots, slashes, dashes or underscores; “{name}” is none.",
            most=constants.MAX_TAG_NAME_LENGTH,
            name=str(name)[:100],
        )
    return name


def _check_tag_text(name: str, text: object) -> str:
    """No comma, for tags are written one after another with commas between them."""
    cleaned = text.strip() if isinstance(text, str) else ""
    if not cleaned or len(cleaned) > constants.MAX_TAG_LENGTH or not cleaned.isprintable() or "," in cleaned:
        raise InvalidInput(
            "The tag “{name}” needs a text of 1 to {most} characters on one line, without a comma.",
            name=name,
            most=constants.MAX_TAG_LENGTH,
        )
    return cleaned


def _check_json(value: object) -> None:
    """What is deeper or has more parts than anything that could be stored is looked at no further."""
    for number, part in enumerate(_parts(value, constants.MAX_METADATA_DEPTH)):
        if number > constants.MAX_METADATA_BYTES:
            raise too_large()
        match part:
            case str() if UNSTORABLE.search(part):
                raise InvalidInput("Metadata holds a character that cannot be stored: NUL, or half of a pair.")
            case float() if not math.isfinite(part):
                raise InvalidInput("Metadata holds a number that is none in JSON: {number}.", number=part)
            case int() if not -(2**63) <= part < 2**63:
                raise InvalidInput("Metadata holds a number of more than 64 bits. Write it as a text.")
            case None | bool() | str() | int() | float() | list() | tuple() | dict():
                pass
            case _:
                raise InvalidInput("Metadata is JSON; “{kind}” is not.", kind=type(part).__name__)


def _parts(value: object, depth: int) -> Iterator[object]:
    """The value, and all that is in it; keys too."""
    yield value
    if not isinstance(value, dict | list | tuple):
        return
    if depth == 0:
        raise InvalidInput("Metadata is nested at most {most} deep.", most=constants.MAX_METADATA_DEPTH)
    for part in value:
        if isinstance(value, dict):
            if not isinstance(part, str):
                raise InvalidInput("Metadata is JSON; a key that is no text is not.")
            yield from _parts(value[part], depth - 1)
            yield part
        else:
            yield from _parts(part, depth - 1)
