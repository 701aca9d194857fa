"""What is logged while a block runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from loguru import logger


@contextmanager
def logged(level: str = "INFO", read: Callable[[Any], Any] = lambda record: record) -> Iterator[list[Any]]:
    """Of each of the bot's lines its record, or what `read` makes of that."""
    lines: list[Any] = []
    number = logger.add(lambda line: lines.append(read(line.record)), level=level)
    try:
        yield lines
    finally:
        logger.remove(number)


def line_of(record: Any) -> tuple[str, str, dict[str, Any]]:
    """Level, message, and what stands beside it."""
    return record["level"].name, record["message"], record["extra"]


def message_of(record: Any) -> str:
    """Without what stands beside it."""
    return str(record["message"])


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().partition(":")[0])


@contextmanager
def said_by_the_kit() -> Iterator[list[str]]:
    """Each line, without the facts behind the colon."""
    handler, kit = _Lines(), logging.getLogger("sandbox_worker")
    kit.addHandler(handler)
    kit.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        kit.setLevel(logging.NOTSET)
        kit.removeHandler(handler)
