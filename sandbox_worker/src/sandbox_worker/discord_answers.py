"""What an answer over HTTP says, if it is Discord's: in its place Cloudflare and proxies answer too, in HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = dict[str, Any]

_TOO_MANY_REQUESTS = 429


def read_object(body: bytes) -> Json | None:
    """As all that Discord says of an error is; None if it is none."""
    try:
        told = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return None
    return told if isinstance(told, dict) else None


def is_refusal(status: int, told: Json | None) -> bool:
    """Whether it is Discord's definite no, which has a code. To be asked to come again later is none, nor is what
    others say."""
    has_code = told is not None and isinstance(told.get("code"), int)
    return has_code and 400 <= status < 500 and status != _TOO_MANY_REQUESTS


def retry_after_s(headers: Mapping[str, str], told: Json | None = None) -> float:
    """For how long whoever answers asks to be left in peace; 0 if it does not say. Discord says it more exactly in the
    body, Cloudflare in the header alone."""
    for text in ((told or {}).get("retry_after"), headers.get("Retry-After")):
        try:
            seconds = float(text or 0)
        except (TypeError, ValueError):  # a date, which nobody has seen either of them send
            continue
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    return 0.0
