"""A guild's audit log: who has done what to whom, and why."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from local_discord.snowflakes import Snowflakes
from local_discord.wire import Json
from local_discord.world.users import User

CREATED, UPDATED, DELETED = 0, 1, 2
GUILD = 1
CHANNEL, OVERWRITE, ROLE, INVITE, WEBHOOK, EMOJI = 10, 13, 30, 40, 50, 60
STAGE, STICKER, SCHEDULED_EVENT, THREAD, SOUND, MODERATION_RULE = 83, 90, 100, 110, 130, 140
"""Of these CREATED, UPDATED and DELETED follow upon one another."""
KICK, PRUNE, BAN, UNBAN, MEMBER, MEMBER_ROLES = 20, 21, 22, 23, 24, 25
MESSAGE_DELETED, MESSAGES_DELETED, PINNED, UNPINNED = 72, 73, 74, 75
_KEPT = 10_000
_NO_CHANGE = frozenset({"id", "guild_id", "version", "user", "creator_id", "last_message_id", "token"})
"""Fields that say which thing it is, and not how it is."""


@dataclass(frozen=True)
class AuditEntry:
    """`action` is Discord's number; `options` say more of some actions, `changes` are Discord's list of them."""

    id: int
    action: int
    by: User
    target_id: int | None
    reason: str | None
    changes: list[Json]
    options: Json

    def payload(self) -> Json:
        """As the API and the gateway show it."""
        data: Json = {
            "id": str(self.id),
            "action_type": self.action,
            "user_id": str(self.by.id),
            "target_id": None if self.target_id is None else str(self.target_id),
        }
        optional = {"reason": self.reason, "changes": self.changes, "options": self.options}
        return data | {key: value for key, value in optional.items() if value}


class AuditLog:
    """The latest entries; `tell` is called with each."""

    def __init__(self, snowflakes: Snowflakes, tell: Callable[[AuditEntry], object]) -> None:
        self._snowflakes = snowflakes
        self._tell = tell
        self.entries: deque[AuditEntry] = deque(maxlen=_KEPT)
        """Oldest first."""

    def note(
        self,
        action: int,
        by: User,
        target_id: int | None,
        *,
        reason: str | None = None,
        changes: list[Json] | None = None,
        options: Json | None = None,
    ) -> None:
        """One more."""
        entry = AuditEntry(self._snowflakes.next(), action, by, target_id, reason, changes or [], options or {})
        self.entries.append(entry)
        self._tell(entry)


def changes(before: Json, after: Json) -> list[Json]:
    """What is different between two payloads of a thing; an empty one means that it was not, or is no more."""
    found = []
    for key in sorted((before.keys() | after.keys()) - _NO_CHANGE):
        sides = {"old_value": before.get(key), "new_value": after.get(key)}
        if sides["old_value"] != sides["new_value"]:
            found.append({"key": key} | {side: value for side, value in sides.items() if value is not None})
    return found


def role_changes(before: list[Json], after: list[Json]) -> list[Json]:
    """Of a member's roles, given as payloads."""
    added, removed = ([one for one in new if one not in old] for new, old in ((after, before), (before, after)))
    told = {"$add": added, "$remove": removed}
    return [
        {"key": key, "new_value": [{"id": one["id"], "name": one["name"]} for one in roles]}
        for key, roles in told.items()
        if roles
    ]
