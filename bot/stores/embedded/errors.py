"""What an operator is told when the embedded stores cannot run."""

from __future__ import annotations


class EmbeddedError(Exception):
    """The embedded stores cannot run. `str(error)` says why, and what to do."""


class FolderInUse(EmbeddedError):
    """A bot that is alive has the data folder."""


class PortTaken(EmbeddedError):
    """Another program has taken the port of a server between its choice and the server's start."""


class AppendOnlyDamaged(EmbeddedError):
    """Valkey has ended for it cannot read its append-only file."""


class FolderMissing(EmbeddedError):
    """There is no data folder, and whoever asks only looks at what a bot has made."""


class GuardianEnded(EmbeddedError):
    """The process that supervises the servers has ended although nobody stopped it, and they with it."""
