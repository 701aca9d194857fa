"""Which guild an event is of, read out of its bytes. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

UNREADABLE = (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError)
"""What looking into an event ends in that isn't written as Discord writes."""


class _Located(msgspec.Struct, gc=False):
    guild_id: str | int | None = None


class _Message(msgspec.Struct, gc=False):
    d: _Located


_locate = msgspec.json.Decoder(_Message).decode


def guild_of(payload: bytes, known: Collection[int]) -> int | None:
    """The guild that its data name, if that is one of `known`."""
    try:
        guild_id = int(_locate(payload).d.guild_id or 0)
    except UNREADABLE:
        return None
    return guild_id if guild_id in known else None


def guilds_of_gap(payload: bytes) -> list[int] | None:
    """In which events may be missing; None if it doesn't say."""
    try:
        return [int(guild_id) for guild_id in msgspec.json.decode(payload)["d"]["guild_ids"]]
    except UNREADABLE:
        return None


def snowflake(value: object) -> int | None:
    """An id, as Discord writes it; None for anything else."""
    try:
        return int(value) if isinstance(value, str | int) else None
    except ValueError:
        return None
