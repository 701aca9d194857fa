"""What an operator is told when the embedded stores cannot run."""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """The embedded stores cannot run. `str(error)` says why, and what to do."""


class FolderInUse(EmbeddedError):
    """A bot that is alive has the data folder."""

    def __init__(self, folder: Path, pid: str) -> None:
        super().__init__(
            f"Another bot uses the data folder {folder} (process {pid}). Stop it, or set another folder in [embedded]. "
            "For a standby give both bots servers of their own (DATABASE_URL, REDIS_URL, NATS_URL)."
        )


class GuardianEnded(EmbeddedError):
    """The process that supervises the servers has ended although nobody stopped it, and they with it."""

    def __init__(self, code: int) -> None:
        """`code`: of its exit; negative for the signal that ended it."""
        self.code = code
        super().__init__(f"The guardian of the embedded servers ended with exit code {code}.")
