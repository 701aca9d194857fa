"""What others have written, shown so that it steers no terminal: no control characters, no reversed directions."""

from __future__ import annotations

import json


def plain(text: str) -> str:
    """On one line, with a mark in the place of each character that is not printed."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "�" for each in text)


def printable_json(text: str) -> str:
    """JSON that means the same, with what is not printed escaped; line breaks between values stay."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
