"""JSON as it goes over the wire; Python's integers keep every digit of a snowflake."""

from __future__ import annotations

from typing import Any

import orjson

type Json = dict[str, Any]


def encode(data: object) -> bytes:
    return orjson.dumps(data)


def decode(text: str | bytes) -> Any:
    """`ValueError` if it is not JSON."""
    return orjson.loads(text)
