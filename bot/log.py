"""Where log lines go: loguru to standard error, the standard library's logging led into it.

Each line has its own facts, and those of the `context` in which it is said.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from aiohttp.http_exceptions import HttpProcessingError
from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

_LINE = "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> <level>{level: <7}</level> <cyan>{name}</cyan> {message}"
_FACTS = " <dim>{extra}</dim>"

_LEAST_OF_LIBRARIES = {
    **dict.fromkeys(("asyncio", "aiohttp", "discord", "nats"), logging.INFO),
    # Its pool warns, with a traceback, at each try to connect during an outage, which the supervisor tells of once.
    "asyncpg": logging.ERROR,
}
"""The level below which a library says nothing, whatever is asked for: discord.py would write down whole requests, with
the tokens in them."""

_NO_NEWS = "returning true from eof_received() has no effect when using ssl"
"""What asyncio warns of at the end of a TLS connection of asyncpg's or nats-py's, each time."""

_SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: repr(text + "\"'")[1:-4],  # as within a text that has both kinds of quotes
    lambda text: repr(text.encode(errors="replace"))[2:-1],
    quote,
    lambda text: quote(text, safe=""),
    lambda text: re.sub("%..", lambda code: code[0].lower(), quote(text, safe="")),
    quote_plus,
)
_NESTED = 3
"""JSON in the repr of a line's facts, in a line of JSON."""


class _Intercept(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        said = logger.opt(depth=depth, exception=record.exc_info).patch(partial(_rename, name=record.name))
        said.log(level, "{}", _said_in(record))


def _said_in(record: logging.LogRecord) -> str:
    """What a library has got wrong is no reason to fail in the midst of it."""
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} (its facts cannot be told)"


def _rename(record: Record, name: str) -> None:
    """Levels are given by a logger's name, which its module's need not be."""
    record["name"] = name


_LARGEST_EXACT = 2**53
_DEEPEST = 8
_STEERING = re.compile(
    "\x1b(?!\\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What ends a line or steers a terminal, but for a tab, a line feed and a colour; and what no encoding has."""

_context: ContextVar[dict[str, object] | None] = ContextVar("log_context", default=None)


@contextmanager
def context(**facts: object) -> Iterator[None]:
    """Each line that is said within has these facts too, also in tasks that are started there; None is no fact."""
    known = {name: fact for name, fact in facts.items() if fact is not None}
    token = _context.set((_context.get() or {}) | known)
    try:
        yield
    finally:
        _context.reset(token)


def note(**facts: object) -> None:
    """Found out within a `context`: its lines have these facts too from now on, whichever of its tasks says them."""
    if (known := _context.get()) is not None:
        known.update(facts)


def configure(
    level: str = "INFO",
    *,
    levels: Mapping[str, str] | None = None,
    json_lines: bool = False,
    secrets: Iterable[str] = (),
) -> None:
    """Log from `level` on, once per process; `levels` are those of single modules, and of what is in them. What is in
    `secrets` is blotted out, in tracebacks too."""
    redact, written = _redactor(secrets), _in_json if json_lines else _in_text
    of_modules: dict[str | None, str | int | bool] = {"": level}
    of_modules.update(levels or {})
    logger.remove()
    logger.configure(patcher=_complete_facts)
    logger.add(
        lambda message: _write(written(redact(message))),
        level=min((level, *(levels or {}).values()), key=lambda name: logger.level(name).no),
        filter=of_modules,
        format=_format,
        serialize=json_lines,
        colorize=is_terminal() and not json_lines,
        backtrace=False,
        diagnose=False,
    )
    logging.basicConfig(handlers=[_Intercept()], level=logging.NOTSET, force=True)
    logging.getLogger("asyncio").addFilter(_is_news)
    for library, least in _LEAST_OF_LIBRARIES.items():
        logging.getLogger(library).setLevel(least)
    logging.getLogger("aiohttp.server").addFilter(_is_no_strangers)
    logging.captureWarnings(True)
    sys.excepthook = _tell_end


def _tell_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What the process ends with is told as everything else is: without secrets, as JSON where that is wanted."""
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.opt(exception=(kind, error, trace)).critical("the process has failed")


def _is_no_strangers(record: logging.LogRecord) -> bool:
    """Whoever speaks no HTTP to a port is told so; aiohttp would log its own traceback as an error, each time."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != _NO_NEWS


def _format(record: Record) -> str:
    return _LINE + (_FACTS if record["extra"] else "") + "\n{exception}"


def _complete_facts(record: Record) -> None:
    """With those of the context, as far as the line has none of that name."""
    facts = (_context.get() or {}) | record["extra"]
    record["extra"].update({name: _plain(fact) for name, fact in facts.items()})


def _plain(fact: object, depth: int = 0) -> object:
    """As every reader of JSON takes it: Discord's ids as text, for not each keeps 64 bits, and no infinity."""
    match fact:
        case bool() | None | str():
            return fact
        case int() | float() if abs(fact) <= _LARGEST_EXACT:
            return fact
        case dict() if depth < _DEEPEST:
            return {_text(name): _plain(each, depth + 1) for name, each in fact.items()}
        case list() | tuple() if depth < _DEEPEST:
            return [_plain(each, depth + 1) for each in fact]
    return _text(fact)


def _text(fact: object) -> str:
    try:
        return str(fact)
    except Exception as error:
        return f"{type(fact).__name__} that cannot be told: {type(error).__name__}"


def is_terminal() -> bool:
    """Whether somebody reads what is logged there. Standard error may have been closed before the start."""
    return sys.stderr is not None and sys.stderr.isatty()


def _in_json(line: str) -> str:
    """Nothing in it ends a line for any reader, or steers the terminal of who looks at it later."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _in_text(lines: str) -> str:
    """Only the first one begins at the margin: what somebody else has said looks like no line of the log."""
    return _in_json(lines.rstrip("\n")).replace("\n", "\n    ") + "\n"


def _write(line: str) -> None:
    """A line that finds no room is lost: told of it, loguru would write down the record, with what is secret in it."""
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(line)
            sys.stderr.flush()


def _redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    written = set().union(*(_spellings(secret) for secret in secrets if len(secret) >= 4))
    if not written:
        return str
    pattern = re.compile("|".join(re.escape(each) for each in sorted(written, key=len, reverse=True)))
    return lambda text: pattern.sub("•••", text)


def _spellings(secret: str) -> set[str]:
    """As it may stand in a log: itself, in JSON, in Python, in a URL, and in one of these within another."""
    found = {secret}
    for _ in range(_NESTED):
        found |= {spell(each) for each in found for spell in _SPELLINGS}
    return found
