"""What a channel grants to, and takes from, roles and members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_

from local_discord.wire import Json

ROLE, MEMBER = 0, 1


@dataclass(slots=True)
class Overwrite:
    """Of one role (`kind` 0) or member (1); `allow` and `deny` are bits."""

    id: int
    kind: int
    allow: int = 0
    deny: int = 0

    def payload(self) -> Json:
        """As the API shows it."""
        return {"id": str(self.id), "type": self.kind, "allow": str(self.allow), "deny": str(self.deny)}


def overwritten(granted: int, overwrites: Mapping[int, Overwrite], *steps: Iterable[int]) -> int:
    """Permissions in a channel: each step's ids count together, and a later step stands over an earlier one."""
    for ids in steps:
        found = [overwrites[one] for one in ids if one in overwrites]
        granted &= ~reduce(or_, (one.deny for one in found), 0)
        granted |= reduce(or_, (one.allow for one in found), 0)
    return granted
