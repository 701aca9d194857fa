"""Invites."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_discord.errors import ApiError
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, query_flag, word
from local_discord.http.group import Group
from local_discord.rules.channel_rules import CATEGORY, THREADS
from local_discord.rules.fields import Read, boolean, integer, optional, read_form
from local_discord.rules.permissions import BITS
from local_discord.wire import Json
from local_discord.world.audit_log import CREATED, DELETED, INVITE
from local_discord.world.invites import Invite

_FIELDS: Mapping[str, Read] = {
    "max_age": optional(integer(0, 604_800)),
    "max_uses": optional(integer(0, 100)),
    "temporary": optional(boolean),
    "unique": optional(boolean),
}


class InviteRoutes(Group):
    """Anybody may look one up by its code."""

    def table(self) -> dict[str, Handler]:
        return {
            "GET /channels/{channel_id}/invites": self._of_channel,
            "POST /channels/{channel_id}/invites": self._create,
            "GET /guilds/{guild_id}/invites": self._of_guild,
            "GET /invites/{code}": self._show,
            "DELETE /invites/{code}": self._delete,
        }

    async def _of_channel(self, request: web.Request) -> web.Response:
        _, channel = self._guild_channel(request, "manage_channels")
        return answer([invite.full_payload() for invite in self._world.invites.listing(channel)])

    async def _of_guild(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild")
        return answer([invite.full_payload() for invite in self._world.invites.listing(*guild.channels.values())])

    async def _create(self, request: web.Request) -> web.Response:
        guild, channel = self._guild_channel(request, "create_instant_invite")
        if channel.kind in (CATEGORY, *THREADS):
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        form = read_form((await forms.read(request)).data, _FIELDS)
        age = form.get("max_age")
        invite = Invite(
            channel,
            self._bot,
            max_age_s=86_400 if age is None else age,
            max_uses=form.get("max_uses") or 0,
            temporary=bool(form.get("temporary")),
        )
        made = self._world.invites.create(invite, unique=bool(form.get("unique")))
        if made is invite:
            self._note(request, guild, INVITE + CREATED, None, after=_logged(invite))
        return answer(made.full_payload())

    async def _show(self, request: web.Request) -> web.Response:
        invite = self._world.invites.get(word(request, "code"))
        data = invite.payload()
        if query_flag(request, "with_counts") and invite.channel.guild is not None:
            members = len(invite.channel.guild.members)
            data |= {"approximate_member_count": members, "approximate_presence_count": 1}
        return answer(data)

    async def _delete(self, request: web.Request) -> web.Response:
        invite = self._world.invites.get(word(request, "code"))
        guild = self._world.bots_guild(invite.channel.guild_id or 0)
        if not guild.permissions_of(self._bot) & BITS["manage_guild"]:
            self._require(invite.channel, "manage_channels")
        self._world.invites.delete(invite)
        self._note(request, guild, INVITE + DELETED, None, before=_logged(invite))
        return answer(invite.payload())


def _logged(invite: Invite) -> Json:
    shown = invite.full_payload()
    told = {key: shown[key] for key in ("code", "uses", "max_uses", "max_age", "temporary")}
    return told | {"channel_id": str(invite.channel.id), "inviter_id": str(invite.inviter.id)}
