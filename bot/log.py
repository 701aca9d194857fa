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
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

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
        said.log(level, "{}", record.getMessage())


def _rename(record: Record, name: str) -> None:
    """Levels are given by a logger's name, which its module's need not be."""
    record["name"] = name


_LARGEST_EXACT = 2**53

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
    redact = _redactor(secrets)
    of_modules: dict[str | None, str | int | bool] = {"": level}
    of_modules.update(levels or {})
    logger.remove()
    logger.configure(patcher=_complete_facts)
    logger.add(
        lambda message: _write(redact(message)),
        level=min((level, *(levels or {}).values()), key=lambda name: logger.level(name).no),
        filter=of_modules,
        format=_format,
        serialize=json_lines,
        colorize=sys.stderr.isatty() and not json_lines,
        backtrace=False,
        diagnose=False,
    )
    logging.basicConfig(handlers=[_Intercept()], level=logging.NOTSET, force=True)
    logging.getLogger("asyncio").addFilter(_is_news)
    for library, least in _LEAST_OF_LIBRARIES.items():
        logging.getLogger(library).setLevel(least)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != _NO_NEWS


def _format(record: Record) -> str:
    return _LINE + (_FACTS if record["extra"] else "") + "\n{exception}"


def _complete_facts(record: Record) -> None:
    """With those of the context, as far as the line has none of that name."""
    facts = (_context.get() or {}) | record["extra"]
    record["extra"].update({name: _exact(fact) for name, fact in facts.items()})


def _exact(fact: object) -> object:
    """Discord's ids as text: not every reader of JSON keeps 64 bits."""
    return str(fact) if isinstance(fact, int) and fact > _LARGEST_EXACT else fact


def _write(line: str) -> None:
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
