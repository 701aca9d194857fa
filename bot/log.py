"""Where log lines go: loguru to standard error, the standard library's logging led into it."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Callable, Iterable

from loguru import logger

FORMAT = (
    "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> <level>{level: <7}</level> "
    "<cyan>{name}</cyan> {message} <dim>{extra}</dim>"
)


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
    known = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)
    if not known:
        return str
    pattern = re.compile("|".join(re.escape(secret) for secret in known))
    return lambda text: pattern.sub("•••", text)
