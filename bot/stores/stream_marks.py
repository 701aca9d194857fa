"""NATS: which streams are ours. Another installation on the same server has the same mark."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from nats.js.api import StreamInfo

from bot import names

MARK = "discord-sandboxes"
"""The description that our streams carry: nothing without it is ever changed or deleted."""


def sandbox_of(info: StreamInfo) -> UUID | None:
    """None if it is no sandbox's, by its description, name and subjects."""
    config, subjects = info.config, info.config.subjects or []
    sandbox_id = names.sandbox_of_event_subjects(subjects[0]) if len(subjects) == 1 else None
    if config.description != MARK or sandbox_id is None or config.name != names.stream_name(sandbox_id):
        return None
    return sandbox_id


def age_of(info: StreamInfo, told_at: str | None) -> timedelta:
    """`told_at`: by the clock of NATS; where it does not say, the age is 0."""
    return datetime.fromisoformat(told_at) - info.created if told_at and info.created else timedelta()
