"""The application itself."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_discord.errors import FormErrors, invalid_form, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, places
from local_discord.http.group import Group
from local_discord.rules import intents
from local_discord.rules.fields import Read, choice, dictionary, each, image, integer, optional, read_form, text
from local_discord.wire import Json
from local_discord.world.application import Application
from local_discord.world.world import World

_FIELDS: Mapping[str, Read] = {
    "description": optional(text(400)),
    "custom_install_url": optional(text(2048)),
    "role_connections_verification_url": optional(text(512)),
    "interactions_endpoint_url": optional(text(512)),
    "install_params": optional(dictionary),
    "integration_types_config": optional(dictionary),
    "flags": optional(integer(0, 1 << 31)),
    "icon": optional(image),
    "cover_image": optional(image),
    "event_webhooks_url": optional(text(512)),
    "event_webhooks_status": optional(choice(1, 2)),
    "event_webhooks_types": optional(each(text(100), 100)),
    "tags": optional(each(text(20), 5)),
}
_NOT_KEPT = ("icon", "cover_image", "flags")
"""Pictures are not served, and the flags follow from the intents that are approved."""
_METADATA: Mapping[str, Read] = {
    "type": choice(*range(1, 9)),
    "key": text(50, 1),
    "name": text(100, 1),
    "name_localizations": optional(dictionary),
    "description": text(200, 1),
    "description_localizations": optional(dictionary),
}
_MOST_METADATA = 5


class ApplicationRoutes(Group):
    """Any path that names an application has to name the bot's own."""

    def __init__(self, world: World, application: Application) -> None:
        super().__init__(world)
        self._core = world.core
        self._application = application

    def table(self) -> dict[str, Handler]:
        by_id = "/applications/{application_id}"
        return {
            "GET /oauth2/applications/@me": self._show,
            "GET /applications/@me": self._show,
            "PATCH /applications/@me": self._edit,
            f"GET {by_id}": self._show,
            f"PATCH {by_id}": self._edit,
            f"GET {by_id}/role-connections/metadata": self._role_connections,
            f"PUT {by_id}/role-connections/metadata": self._set_role_connections,
        }

    async def _show(self, request: web.Request) -> web.Response:
        self._require_own(request)
        return answer(self._payload())

    async def _edit(self, request: web.Request) -> web.Response:
        self._require_own(request)
        form = read_form((await forms.read(request)).data, _FIELDS)
        self._application.set_details({key: value for key, value in form.items() if key not in _NOT_KEPT})
        return answer(self._payload())

    async def _role_connections(self, request: web.Request) -> web.Response:
        self._require_own(request)
        return answer(self._application.role_connections)

    async def _set_role_connections(self, request: web.Request) -> web.Response:
        self._require_own(request)
        form = (await forms.read(request)).data
        if not isinstance(form, list):
            raise invalid_form((), "Only a list is accepted.")
        errors = FormErrors()
        errors.check_count((), form, _MOST_METADATA)
        errors.raise_any()
        found = [read_form(one, _METADATA, "type", "key", "name", "description") for one in form]
        self._application.role_connections = found
        return answer(found)

    def _require_own(self, request: web.Request) -> None:
        if int(places(request).get("application_id", self._core.application_id)) != self._core.application_id:
            raise unknown("Application")

    def _payload(self) -> Json:
        return self._application.details | {
            "id": str(self._core.application_id),
            "name": self._core.bot.name,
            "icon": None,
            "summary": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "flags": intents.application_flags(self._core.settings.approved_intents),
            "owner": self._application.owner.payload(),
            "team": self._application.team_payload(),
            "redirect_uris": [],
            "approximate_guild_count": len(self._world.bots_guilds()),
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "bot": self._bot.payload(),
        }
