"""What others have written, shown so that it steers no terminal: no control characters, no reversed directions."""

from __future__ import annotations

import json
import re

_ESCAPE = re.compile(
    r"""\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # a pair: one character
    | (?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})
    | \\.  # any other, an escaped backslash above all: what follows it is text""",
    re.VERBOSE,
)


def plain(text: str) -> str:
    """On one line, with a mark in the place of each character that is not printed."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "�" for each in text)


def printable_json(text: str) -> str:
    """JSON that means the same, with what is not printed escaped; line breaks between values stay."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def replace_lone_surrogates(text: str) -> str:
    """JSON with U+FFFD in the place of each escaped half of a pair: Discord sends such halves, as people's clients do,
    and neither UTF-8 nor strict decoders know them."""
    return _ESCAPE.sub(lambda escape: "\\ufffd" if escape["lone"] else escape[0], text)


def _escaped(character: str) -> str:
    return character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
