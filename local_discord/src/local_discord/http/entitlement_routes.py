"""Entitlements: what somebody has bought, or is given for a test."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_discord.errors import unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number, query_number
from local_discord.http.group import Group
from local_discord.rules.fields import Read, choice, read_form, snowflake
from local_discord.wire import Json

_FIELDS: Mapping[str, Read] = {"sku_id": snowflake, "owner_id": snowflake, "owner_type": choice(1, 2)}
_FRESH: Json = {"deleted": False, "consumed": False, "user_id": None, "starts_at": None, "ends_at": None}
_GUILD = 1
_TEST = 4
"""The kind of those that nobody has paid for."""


class EntitlementRoutes(Group):
    """There is no shop here: all of them are for tests."""

    def table(self) -> dict[str, Handler]:
        entitlements = "/applications/{application_id}/entitlements"
        one = entitlements + "/{entitlement_id}"
        return {
            f"GET {entitlements}": self._listing,
            f"POST {entitlements}": self._create,
            f"GET {one}": self._show,
            f"DELETE {one}": self._delete,
            f"POST {one}/consume": self._consume,
        }

    async def _listing(self, request: web.Request) -> web.Response:
        self._require_own(request)
        limit, after = query_number(request, "limit", 100), query_number(request, "after", 0)
        before = query_number(request, "before", 1 << 64)
        found = [one for one in self._world.entitlements.items() if after < int(one["id"]) < before]
        for key in ("user_id", "guild_id"):
            found = [one for one in found if request.query.get(key, one.get(key)) == one.get(key)]
        if skus := request.query.get("sku_ids"):
            found = [one for one in found if one["sku_id"] in skus.split(",")]
        return answer(found[:limit])

    async def _create(self, request: web.Request) -> web.Response:
        self._require_own(request)
        form = read_form((await forms.read(request)).data, _FIELDS, *_FIELDS)
        owner = "guild_id" if form["owner_type"] == _GUILD else "user_id"
        if form["owner_type"] == _GUILD:
            self._world.bots_guild(int(form["owner_id"]))
        else:
            self._world.user(int(form["owner_id"]))
        kept = {"sku_id": form["sku_id"], "application_id": str(self._world.core.application_id), "type": _TEST}
        return answer(self._world.entitlements.add(_FRESH | kept | {owner: form["owner_id"]}))

    async def _show(self, request: web.Request) -> web.Response:
        self._require_own(request)
        return answer(self._world.entitlements.get(number(request, "entitlement_id")))

    async def _delete(self, request: web.Request) -> web.Response:
        self._require_own(request)
        self._world.entitlements.remove(number(request, "entitlement_id"))
        return nothing()

    async def _consume(self, request: web.Request) -> web.Response:
        self._require_own(request)
        self._world.entitlements.edit(number(request, "entitlement_id"), {"consumed": True})
        return nothing()

    def _require_own(self, request: web.Request) -> None:
        if number(request, "application_id") != self._world.core.application_id:
            raise unknown("Application")
