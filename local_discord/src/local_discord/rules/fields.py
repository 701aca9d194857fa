"""Reading the fields of a form: what each may hold, and what is said of the one that holds something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from local_discord.errors import FormErrors
from local_discord.snowflakes import is_snowflake
from local_discord.wire import Json

Read: TypeAlias = Callable[[Any], Any]
"""A field's value as it is kept; `Unreadable` for one that it cannot hold."""


class Unreadable(ValueError):
    """A field holds what it cannot, as `errors` say: for the whole of it, or for what is within."""

    def __init__(self, errors: FormErrors) -> None:
        super().__init__("unreadable")
        self.errors = errors


def _unreadable(code: str, message: str) -> Unreadable:
    errors = FormErrors()
    errors.add((), code, message)
    return Unreadable(errors)


def text(most: int, least: int = 0) -> Read:
    """A string of so many characters; both limits are allowed."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise _unreadable("STRING_TYPE_CONVERT", "Could not interpret as string.")
        if not least <= len(value) <= most:
            limits = f"between {least} and {most}" if least else f"{most} or fewer"
            raise _unreadable("BASE_TYPE_BAD_LENGTH", f"Must be {limits} in length.")
        return value

    return read


def integer(least: int, most: int) -> Read:
    """A whole number, which may come as a string; both limits are allowed."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,20}", str(value)):
            raise _unreadable("NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        found = int(value)
        if not least <= found <= most:
            raise _unreadable("NUMBER_TYPE_MAX", f"int value should be between {least} and {most}.")
        return found

    return read


def number(least: float, most: float) -> Read:
    """A number; both limits are allowed."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise _unreadable("NUMBER_TYPE_COERCE", f"A number between {least} and {most} is expected.")
        return value

    return read


def choice(*values: int) -> Read:
    """One of these."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or value not in values:
            raise _unreadable("BASE_TYPE_CHOICES", f"Value must be one of {values}.")
        return int(value)

    return read


def word(*words: str) -> Read:
    """One of these."""

    def read(value: Any) -> str:
        if value not in words:
            raise _unreadable("BASE_TYPE_CHOICES", f"Value must be one of {words}.")
        return str(value)

    return read


def boolean(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _unreadable("BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
    return value


def flag(value: Any) -> bool:
    """True or false, which may come as a word."""
    return boolean({"true": True, "false": False}.get(value, value) if isinstance(value, str) else value)


def snowflake(value: Any) -> str:
    """An id, as a string or as a number; kept as a string."""
    if not is_snowflake(value):
        raise _unreadable("NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
    return str(value)


def time(value: Any) -> str:
    """A time with its zone, in ISO 8601."""
    if datetime.fromisoformat(moment(value)).tzinfo is None:
        raise _no_time(value)
    return str(value)


def moment(value: Any) -> str:
    """A time in ISO 8601, which needs no zone."""
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _no_time(value) from None
    return str(value)


def _no_time(value: Any) -> Unreadable:
    return _unreadable("DATE_TIME_TYPE_PARSE", f"Could not parse {value}. Should be ISO8601.")


def address(*schemes: str, most: int = 2048, least: int = 0) -> Read:
    """A URL with one of these schemes; an empty text is none."""

    def read(value: Any) -> str:
        value = text(most, least)(value)
        scheme, colon, rest = value.partition(":")
        if value and not (colon and rest.removeprefix("//")):
            raise _unreadable("URL_TYPE_INVALID_URL", "Not a well formed URL.")
        if value and scheme.lower() not in schemes:
            told = f'Scheme "{scheme}" is not supported. Scheme must be one of {schemes}.'
            raise _unreadable("URL_TYPE_INVALID_SCHEME", told)
        return str(value)

    return read


def dictionary(value: Any) -> Json:
    """Any object; what is in it is not looked at."""
    if not isinstance(value, dict):
        raise _unreadable("DICT_TYPE_CONVERT", "Only dictionaries may be used in this field.")
    return value


def each(read: Read, most: int, least: int = 0) -> Read:
    """A list of so many of these; both limits are allowed."""

    def read_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _unreadable("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType.")
        if not least <= len(value) <= most:
            limits = f"between {least} and {most}" if least else f"{most} or fewer"
            raise _unreadable("BASE_TYPE_BAD_LENGTH", f"Must be {limits} in length.")
        errors = FormErrors()
        found = [_read_part(errors, index, read, item) for index, item in enumerate(value)]
        if errors.tree:
            raise Unreadable(errors)
        return found

    return read_all


def listed(read: Read, most: int) -> Read:
    """The same, which may come as one text with commas."""

    def read_all(value: Any) -> Any:
        parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        return each(read, most)(parts)

    return read_all


def form(fields: Mapping[str, Read], *required: str) -> Read:
    """A form within a form; fields that it does not have are left out."""

    def read(value: Any) -> Json:
        errors = FormErrors()
        found = _read_fields(errors, value, fields, required)
        if errors.tree:
            raise Unreadable(errors)
        return found

    return read


def image(value: Any) -> str:
    """A picture or sound as a data URI."""
    if not (isinstance(value, str) and value.startswith("data:") and ";base64," in value):
        raise _unreadable("IMAGE_INVALID", "Invalid image data")
    return value


def optional(read: Read) -> Read:
    """The same, or null."""
    return lambda value: None if value is None else read(value)


def read_form(form: Any, fields: Mapping[str, Read], *required: str) -> Json:
    """The fields that a form gives, as they are kept; an `ApiError` that names every fault. Other fields are left."""
    errors = FormErrors()
    found = _read_fields(errors, form, fields, required)
    errors.raise_any()
    return found


def _read_fields(errors: FormErrors, form: Any, fields: Mapping[str, Read], required: Iterable[str]) -> Json:
    if not isinstance(form, dict):
        errors.add((), "DICT_TYPE_CONVERT", "Only dictionaries may be used in this field.")
        form = {}
    for key in required:
        if key not in form:
            errors.add((key,), "BASE_TYPE_REQUIRED", "This field is required")
    return {key: _read_part(errors, key, fields[key], form[key]) for key in fields if key in form}


def _read_part(errors: FormErrors, key: str | int, read: Read, value: Any) -> Any:
    """What is read; None, beside what is wrong, for what cannot be."""
    try:
        return read(value)
    except Unreadable as unreadable:
        errors.graft((key,), unreadable.errors.tree)
        return None
