"""Every error code and exit code with what to do, as a page.

    python -m tools.errors_table

Writes `docs/errors.md` anew. A test fails as long as the page and the code disagree, and this does for an error or an
exit code of which nobody has said what to do.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import bot.app  # noqa: F401  # so that every error of the bot's is known
from bot.cli import runtime
from bot.errors import SandboxError
from bot.routing import close_codes
from sandbox_worker import cli as worker_cli
from sandbox_worker.errors import WorkerError
from tools.mends import EXITS, OF_BOT, OF_WORKER

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
    if unexplained := kinds.keys() ^ mends.keys():
        raise Unexplained(sorted(unexplained))
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
    if unexplained := of.keys() ^ EXITS.keys():
        raise Unexplained(sorted(unexplained))
    for code in sorted(of):
        in_json = f"`{runtime.JSON_CODES[code]}`" if code in runtime.JSON_CODES else ""
        yield str(code), ", ".join(of[code]), in_json, EXITS[code]


def _closes() -> Iterator[tuple[str, ...]]:
    for code in sorted(close_codes.FINAL):
        yield str(code), f"`{close_codes.explain(code)}`"


if __name__ == "__main__":
    PAGE.write_text(page())
