"""The answer to “request guild members”, a thousand members at a time."""

from __future__ import annotations

from collections.abc import Iterator

from local_discord.wire import Json
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member

_CHUNK = 1000


def member_chunks(guild: Guild, request: Json, *, may_list: bool) -> Iterator[Json]:
    """At least one chunk, if an empty one. The whole list only for those who have the members intent."""
    members, missing = _asked_for(guild, request, may_list=may_list)
    chunks = [members[start : start + _CHUNK] for start in range(0, len(members), _CHUNK)] or [[]]
    for index, chunk in enumerate(chunks):
        data: Json = {
            "guild_id": str(guild.id),
            "members": [member.payload() for member in chunk],
            "chunk_index": index,
            "chunk_count": len(chunks),
            "not_found": missing,
        }
        if request.get("presences"):
            data["presences"] = []
        if request.get("nonce"):
            data["nonce"] = request["nonce"]
        yield data


def _asked_for(guild: Guild, request: Json, *, may_list: bool) -> tuple[list[Member], list[str]]:
    if "user_ids" in request:
        asked = request["user_ids"]
        ids = [int(user_id) for user_id in (asked if isinstance(asked, list) else [asked])]
        return [guild.members[one] for one in ids if one in guild.members], [
            str(one) for one in ids if one not in guild.members
        ]
    query, limit = str(request.get("query", "")).lower(), int(request.get("limit", 0))
    if not query and not may_list:
        return [], []
    found = [member for member in guild.members.values() if member.user.name.lower().startswith(query)]
    return found[: limit or None], []
