"""Of the process itself: its parts, its log, its pool, its disk and its certificates."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from loguru import logger
from prometheus_client.metrics_core import Metric

from bot import metrics
from bot.stores.postgres import Pool
from bot.supervisor import State, Supervisor


class ProcessSource:
    """A `Source`."""

    def __init__(self, supervisor: Supervisor, pool: Pool) -> None:
        self._supervisor, self._pool = supervisor, pool
        self._version = version("discord-sandboxes")

    def __call__(self) -> Iterator[Metric]:
        parts = self._supervisor.parts.items()
        yield metrics.BUILD.each({(self._version,): 1})
        yield metrics.PART_RUNNING.each({(name,): part.state is State.RUNNING for name, part in parts})
        yield metrics.PART_RESTARTS.each({(name,): part.restarts for name, part in parts})
        idle = self._pool.get_idle_size()
        yield metrics.POOL.each({("idle",): idle, ("busy",): self._pool.get_size() - idle})


class DiskSource:
    """A `Source`: the room on the disk of the embedded stores' folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> Iterator[Metric]:
        disk = os.statvfs(self._folder)
        yield metrics.DATA_FREE.one(disk.f_bavail * disk.f_frsize)


class CertificateSource:
    """A `Source`: when each service's certificate ends, as it was at the start: what a file gets later, nobody is shown
    before the next one."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """Whoever serves with one that can't be read says so."""
        self._ends: dict[tuple[str], float] = {}
        for name, path in files.items():
            with suppress(OSError, ValueError):
                certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
                self._ends[(name,)] = certificate.not_valid_after_utc.timestamp()

    def __call__(self) -> Iterator[Metric]:
        yield metrics.CERTIFICATE_END.each(self._ends)


class LogLines:
    """A `Source` of how many lines were logged, as long as it is entered."""

    def __init__(self) -> None:
        self._lines: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Self:
        self._sink = logger.add(self._count, level="INFO", format=lambda _: "", backtrace=False, diagnose=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logger.remove(self._sink)

    def __call__(self) -> Iterator[Metric]:
        yield metrics.LOG_LINES.each(dict(self._lines))

    def _count(self, message: object) -> None:
        record = message.record  # type: ignore[attr-defined]  # loguru's Message
        self._lines[record["name"], record["level"].name] += 1
