"""JSON as it goes over the wire; Python's integers keep every digit of a snowflake."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = dict[str, Any]


def objects(value: Any) -> list[Json]:
    """The objects in a list; none in whatever else it is."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def encode(data: object) -> bytes:
    """Compact UTF-8. Half of a surrogate pair, which UTF-8 cannot hold, is escaped as JSON does it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def decode(text: str | bytes) -> Any:
    """`ValueError` for what is no JSON in UTF-8, or is nested too deep to be read."""
    try:
        # By itself `json.loads` would take UTF-16 as well, and Python's own words for what is no number.
        return json.loads(text if isinstance(text, str) else text.decode(), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("The JSON is nested too deep.") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON.")
