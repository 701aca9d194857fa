"""Who may use a command where, as a guild's moderators have set it beside what the command itself asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from local_discord.wire import Json

ROLE, USER, CHANNEL = 1, 2, 3
MOST = 100


def decision(permissions: Sequence[Json], guild_id: int, user_id: int, role_ids: Iterable[int]) -> bool | None:
    """For a member: the user's own counts before those of roles, of which one suffices, and these before @everyone's.

    None if nothing concerns them.
    """
    own = _set(permissions, USER, [user_id])
    return own if own is not None else _of_roles(permissions, guild_id, role_ids)


def channel_decision(permissions: Sequence[Json], guild_id: int, channel_id: int) -> bool | None:
    """For a channel: its own counts before that of all channels. None if nothing concerns it."""
    own = _set(permissions, CHANNEL, [channel_id])
    return own if own is not None else _set(permissions, CHANNEL, [guild_id - 1])


def _of_roles(permissions: Sequence[Json], guild_id: int, role_ids: Iterable[int]) -> bool | None:
    found = _set(permissions, ROLE, role_ids)
    return found if found is not None else _set(permissions, ROLE, [guild_id])


def _set(permissions: Sequence[Json], kind: int, ids: Iterable[int]) -> bool | None:
    wanted = {str(one) for one in ids}
    found = [one["permission"] for one in permissions if one["type"] == kind and one["id"] in wanted]
    return any(found) if found else None
