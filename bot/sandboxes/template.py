"""What a new sandbox contains: the statements of a folder's SQL files, in the order of the files' names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TOKEN = re.compile(
    r"""
    (?P<gap> \s+ | --[^\n]* | /\*.*?\*/ )
  | (?P<end> ; )
  | (?P<other>
        [eE]'(?: \\. | '' | [^'\\] )*' | '(?: '' | [^'] )*' | "(?: "" | [^"] )*"
      | \$(?P<tag> [A-Za-z_]\w* | )\$ .*? \$(?P=tag)\$
      | \w[\w$]* | .
    )
    """,
    re.VERBOSE | re.DOTALL,
)
"""As far as it takes to tell which semicolon ends a statement. Bodies of functions have to be quoted."""

DEFAULT_TEMPLATE, UNNAMED_TEMPLATE = "default", "custom"
"""What the bot's own template is called, and statements that were given without a name. A folder has its own name."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, and the file and line where it begins."""

    file: str
    line: int
    text: str

    def place(self, position: int | None = None) -> str:
        """Where its character of that number is, counted from 1; or where it begins."""
        line = self.line + self.text.count("\n", 0, position - 1 if position else 0)
        return f"{self.file}, line {line}"


class TemplateError(Exception):
    """A template that cannot be read or applied. `place` says where, `detail` why. `is_refusal`: it asks for more than
    a sandbox's role may."""

    def __init__(self, place: str, detail: str, *, is_refusal: bool = False) -> None:
        self.place, self.detail, self.is_refusal = place, detail, is_refusal
        super().__init__(place, detail)

    @property
    def step(self) -> str:
        """How somebody whose sandbox is not made hears of it: with the reason only where a right is missing."""
        return f"template {self if self.is_refusal else self.place}"

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}"


def read_template(folder: Path) -> tuple[Statement, ...]:
    """The statements of all `*.sql`; `TemplateError` if there is no such folder, or nothing in it."""
    try:
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if _is_sql(path)}
    except OSError as error:
        raise TemplateError(str(folder), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TemplateError(str(folder), "holds a file that is not UTF-8") from error
    if not texts:
        raise TemplateError(str(folder), "holds no file *.sql")
    return tuple(statement for file, text in texts.items() for statement in split(file, text))


def split(file: str, text: str) -> Iterator[Statement]:
    """The statements of one file, without the comments before them."""
    begin: int | None = None
    for token in _TOKEN.finditer(text):
        if token["other"] is not None and begin is None:
            begin = token.start()
        elif token["end"] is not None and begin is not None:
            yield _statement(file, text, begin, token.start())
            begin = None
    if begin is not None:
        yield _statement(file, text, begin, len(text))


def _statement(file: str, text: str, begin: int, end: int) -> Statement:
    return Statement(file, text.count("\n", 0, begin) + 1, text[begin:end])


def _is_sql(path: Path) -> bool:
    return path.suffix == ".sql" and path.is_file()
