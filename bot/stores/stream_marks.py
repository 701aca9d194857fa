"""NATS: which streams are ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from nats.js.api import StreamInfo

from bot import names

MARK = "discord-sandboxes"
"""The description that our streams carry: nothing without it is ever changed or deleted."""


@dataclass(frozen=True, slots=True)
class FoundStream:
    """A stream that carries our mark. Another installation on the same server has the same mark."""

    sandbox_id: UUID
    age: timedelta
    """By the clock of NATS."""
    messages: int

    @property
    def name(self) -> str:
        return names.stream_name(self.sandbox_id)


def marked(info: StreamInfo, told_at: str | None) -> FoundStream | None:
    """As one of a sandbox; None if it is none, by its description, name and subjects.

    `told_at`: by the clock of NATS; where it does not say, the age is 0.
    """
    config, subjects = info.config, info.config.subjects or []
    sandbox_id = names.sandbox_of_event_subjects(subjects[0]) if len(subjects) == 1 else None
    if config.description != MARK or sandbox_id is None or config.name != names.stream_name(sandbox_id):
        return None
    age = datetime.fromisoformat(told_at) - info.created if told_at and info.created else timedelta()
    return FoundStream(sandbox_id, age, info.state.messages)
