"""Every error code and exit code with what to do, as a page.

    python -m tools.errors_table

Writes `docs/errors.md` anew. A test fails as long as the page and the code disagree, and this does for an error or an
exit code of which nobody has said what to do.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import bot.app  # so that every error of the bot's is known
import bot.relay
from bot.cli import runtime
from bot.errors import SandboxError
from bot.routing import close_codes
from sandbox_worker import cli as worker_cli
from sandbox_worker.errors import WorkerError
from tools.mends import EXITS, OF_BOT, OF_WORKER, RELAY_ANSWERS, RELAY_CLOSES

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"

_BEGINNING = """\
# Errors and exit codes

Every expected failure says in a sentence what to do. Its code is stable, the sentence isn't: scripts go by the code. It
stands behind the sentence in Discord, in parentheses behind it on the command line, and with `--json` as
`{"error": {"code", "message"}}` on standard error; errors of the kit have it as `code`.

What has no code is a bug. Whoever saw it has a reference of eight characters: look for it in the log, where the line
`interaction failed` has it, with the traceback, and report that.
"""


class Unexplained(Exception):
    """Nobody has said what to do about it."""


def page() -> str:
    """The whole page, as it should be."""
    of_errors = ("code", "error", "when", "what to do")
    return "\n".join(
        [
            _BEGINNING,
            *_table("Of the bot and its command line", of_errors, _errors(SandboxError, OF_BOT)),
            *_table("Of the kit", of_errors, _errors(WorkerError, OF_WORKER)),
            *_table("Exit codes", ("exit code", "of", "`sandbox-bot --json`", "what to do"), _exits()),
            *_table("What the relay answers", ("HTTP status", "code", "what to do"), _relay_answers()),
            *_table("When the relay closes a gateway connection", ("code", "what to do"), _relay_closes()),
            *_table("When Discord closes the gateway for good", ("code", "the bot ends with 78, and says"), _closes()),
        ]
    )


def _table(heading: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = tuple(columns)
    yield from (f"## {heading}", "", _row(columns), _row("---" for _ in columns).replace(" ", ""))
    yield from map(_row, rows)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _errors(base: type[Exception], mends: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    kinds = {kind.__name__: kind for kind in _kinds_of(base)}
    _require_words(kinds.keys(), mends)
    for name, kind in sorted(kinds.items(), key=lambda item: (_code(item[1]), item[0])):
        yield f"`{_code(kind)}`", f"`{name}`", _when(kind), mends[name]


def _kinds_of(base: type[Exception]) -> Iterator[type[Exception]]:
    """All but those of tests."""
    for kind in base.__subclasses__():
        if kind.__module__.startswith(("bot.", "sandbox_worker.")):
            yield kind
        yield from _kinds_of(kind)


def _code(kind: type[Exception]) -> str:
    return str(vars(kind).get("code") or getattr(kind, "code", ""))


def _when(kind: type[Exception]) -> str:
    """What the code says of it, up to what it says of its attributes."""
    said = " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=`)", said)[0]


def _exits() -> Iterator[tuple[str, ...]]:
    programs = {"`sandbox-bot`": runtime, "`sandbox-worker`": worker_cli}
    of: dict[int, list[str]] = {0: list(programs)}
    for program, module in programs.items():
        for name, code in vars(module).items():
            if name.startswith("EX_"):
                of.setdefault(code, []).append(program)
    of[worker_cli.EX_INTERRUPTED] = list(programs)
    _require_words(of.keys(), EXITS)
    for code in sorted(of):
        in_json = f"`{runtime.JSON_CODES[code]}`" if code in runtime.JSON_CODES else ""
        yield str(code), ", ".join(of[code]), in_json, EXITS[code]


def _relay_answers() -> Iterator[tuple[str, ...]]:
    found = {(status, code) for name, (status, code, *_) in relay_calls() if name == "Denied"}
    found |= {(status, None) for name, (_, status, *_) in relay_calls() if name == "answered" and status is not None}
    _require_words(found, RELAY_ANSWERS)
    for status, code in sorted(found, key=lambda pair: (pair[0], pair[1] or 0)):
        yield str(status), str(code or ""), RELAY_ANSWERS[status, code]


def _relay_closes() -> Iterator[tuple[str, ...]]:
    found = {code for name, (code, *_) in relay_calls() if name in ("HangUp", "hang_up") and code is not None}
    _require_words(found, RELAY_CLOSES)
    for code in sorted(found):
        yield str(code), RELAY_CLOSES[code]


def relay_calls() -> Iterator[tuple[str, tuple[int | None, ...]]]:
    """Each call in the relay's code by its name, with the numbers that it is made with; None in the place of others."""
    for path in sorted(Path(bot.relay.__path__[0]).rglob("*.py")):
        tree = ast.parse(path.read_text())
        known = {
            name.id: value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(value := getattr(node.value, "value", None), int)
            for name in node.targets
            if isinstance(name, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                numbers = (known.get(getattr(each, "id", ""), getattr(each, "value", None)) for each in node.args)
                yield name, (*(each if isinstance(each, int) else None for each in numbers), None, None)


def _require_words(found: Set[object], words: Mapping[Any, str]) -> None:
    if unexplained := found ^ words.keys():
        raise Unexplained(sorted(unexplained, key=str))


def _closes() -> Iterator[tuple[str, ...]]:
    for code in sorted(close_codes.FINAL):
        yield str(code), f"`{close_codes.explain(code)}`"


if __name__ == "__main__":
    PAGE.write_text(page())
