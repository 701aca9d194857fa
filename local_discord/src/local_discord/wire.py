"""JSON as it goes over the wire; Python's integers keep every digit of a snowflake."""

from __future__ import annotations

from typing import Any, TypeAlias

import orjson

Json: TypeAlias = dict[str, Any]


def objects(value: Any) -> list[Json]:
    """The objects in a list; none in whatever else it is."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def encode(data: object) -> bytes:
    return orjson.dumps(data)


def decode(text: str | bytes) -> Any:
    """`ValueError` if it is not JSON."""
    return orjson.loads(text)
