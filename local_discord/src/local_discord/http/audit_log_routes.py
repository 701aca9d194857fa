"""Reading a guild's audit log."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from local_discord.errors import invalid_form
from local_discord.http.frame import Handler, answer, query_number
from local_discord.http.group import Group
from local_discord.wire import Json
from local_discord.world.audit_log import AuditEntry
from local_discord.world.guilds import Guild

_ABOVE_ALL_IDS = 1 << 64


class AuditLogRoutes(Group):
    """With what its entries name, as far as that is still there."""

    def table(self) -> dict[str, Handler]:
        return {"GET /guilds/{guild_id}/audit-logs": self._read}

    async def _read(self, request: web.Request) -> web.Response:
        guild, limit = self._guild(request, "view_audit_log"), query_number(request, "limit", 50)
        if not 1 <= limit <= 100:
            raise invalid_form(("limit",), "int value should be between 1 and 100.")
        found = list(_wanted(request, guild.audit_log.entries))
        chosen = found[:limit] if "after" in request.query else found[::-1][:limit]
        return answer({"audit_log_entries": [one.payload() for one in chosen]} | self._named(guild, chosen))

    def _named(self, guild: Guild, entries: list[AuditEntry]) -> Json:
        ids = {one.target_id for one in entries} | {one.by.id for one in entries}
        webhooks = self._world.webhooks.listing(*guild.channels.values())
        return {
            "users": [user.payload() for number, user in self._world.users.items() if number in ids],
            "threads": [thread.payload() for number, thread in guild.threads.items() if number in ids],
            "webhooks": [webhook.payload() for webhook in webhooks if webhook.id in ids],
            "guild_scheduled_events": [one for one in guild.scheduled_events.items() if int(one["id"]) in ids],
            "auto_moderation_rules": [one for one in guild.moderation_rules.items() if int(one["id"]) in ids],
            "application_commands": [],
            "integrations": [],
        }


def _wanted(request: web.Request, entries: Iterable[AuditEntry]) -> Iterable[AuditEntry]:
    """Oldest first."""
    before, after = query_number(request, "before", _ABOVE_ALL_IDS), query_number(request, "after", 0)
    by, action, target = (query_number(request, name, 0) for name in ("user_id", "action_type", "target_id"))
    for entry in entries:
        asked = ((by, entry.by.id), (action, entry.action), (target, entry.target_id))
        if before > entry.id > after and all(wanted in (0, found) for wanted, found in asked):
            yield entry
