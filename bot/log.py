"""Where log lines go: loguru to standard error, the standard library's logging led into it."""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

from loguru import logger

FORMAT = (
    "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> <level>{level: <7}</level> "
    "<cyan>{name}</cyan> {message} <dim>{extra}</dim>"
)

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
        logger.opt(depth=depth, exception=record.exc_info).log(level, "{}", record.getMessage())


def configure(level: str = "INFO", *, json_lines: bool = False, secrets: Iterable[str] = ()) -> None:
    """Log from `level` on, once per process. What is in `secrets` is blotted out, in tracebacks too."""
    redact = _redactor(secrets)
    logger.remove()
    logger.add(
        lambda message: _write(redact(message)),
        level=level,
        format=FORMAT,
        serialize=json_lines,
        colorize=sys.stderr.isatty() and not json_lines,
        backtrace=False,
        diagnose=False,
    )
    logging.basicConfig(handlers=[_Intercept()], level=logging.NOTSET, force=True)
    for chatty in ("asyncio", "aiohttp", "discord", "nats"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, logging.getLevelName(level)))
    # Its pool warns, with a traceback, at each try to connect during an outage, which the supervisor tells of once.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)


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
