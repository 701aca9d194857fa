"""The token that a sandbox's own bot logs in with: Discord's form, the sandbox's secret. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,40}\.(?P<sandbox>[A-Za-z0-9_-]{6})\.(?P<secret>[A-Za-z0-9_-]{20,})")


class BotToken(NamedTuple):
    """Which sandbox it names, by its short id, and the secret that has to be that sandbox's."""

    short_id: str
    secret: str


def make_bot_token(application_id: int, short_id: str, secret: str) -> str:
    """Three parts, for libraries read the application's id in the first and measure the others."""
    application = base64.b64encode(str(application_id).encode()).decode().rstrip("=")
    sandbox = base64.urlsafe_b64encode(bytes.fromhex(short_id)).decode().rstrip("=")
    return f"{application}.{sandbox}.{secret}"


def read_bot_token(text: str) -> BotToken | None:
    """With or without Discord's `Bot `; None for what is no token of a sandbox."""
    found = _TOKEN.fullmatch(text.strip().removeprefix("Bot ").strip())
    if found is None:
        return None
    try:
        short_id = base64.urlsafe_b64decode(found["sandbox"] + "==").hex()
    except binascii.Error:
        return None
    return BotToken(short_id, found["secret"])
