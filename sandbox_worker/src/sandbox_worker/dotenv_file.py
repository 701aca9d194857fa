"""`.env` files, as they are written and read here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from sandbox_worker.addresses import PLAIN

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(\w+)\s*=(.*)")


def write_dotenv(environment: Mapping[str, str], remarks: Iterable[str] = ()) -> str:
    """Remarks as comments, and a line for each variable, without quotes where none are needed: docker, systemd and make
    would take them for a part of the value."""
    comments = [f"# {' '.join(line.replace(chr(92), '/').split())}" for line in remarks]
    lines = [f"{name}={value if PLAIN.fullmatch(value) else shlex.quote(value)}" for name, value in environment.items()]
    return "".join(f"{line}\n" for line in (*comments, *lines))


def merge_dotenv(text: str, environment: Mapping[str, str]) -> str:
    """The file with these variables in the place of those of the same names; every other line stays as it is."""
    left, lines = dict(environment), []
    for line in text.splitlines(keepends=True):
        name = found[1] if (found := _ASSIGNMENT.match(line)) else ""
        if name not in environment:
            lines.append(line)
        elif name in left:  # of a second one, readers would take the value
            lines.append(write_dotenv({name: left.pop(name)}))
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join(lines) + write_dotenv(left)


def write_exports(environment: Mapping[str, str]) -> str:
    """For a shell's `eval`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def read_dotenv(text: str) -> dict[str, str]:
    """Its assignments, one a line, as a shell reads quotes and comments; nothing in them is expanded or run."""
    found = (_ASSIGNMENT.match(line) for line in text.splitlines())
    return {one[1]: _first_word(one[2].strip()) for one in found if one}


def _first_word(text: str) -> str:
    if text.startswith("#"):
        return ""
    words = shlex.shlex(text, posix=True)
    words.whitespace_split, words.commenters = True, ""
    try:
        return words.get_token() or ""
    except ValueError:  # a quote that does not end on this line: another reader of the file may know what it is
        return text
