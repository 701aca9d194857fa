"""Registration of commands, as a library does it: globally or for a guild, whole lists or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncpg
from aiohttp import web

from bot.relay.commands import CHAT_INPUT, CommandStore, Definition, GuildCommands, Scope, key_of
from bot.relay.http.answers import Denied, answered, passed_back
from bot.relay.http.api import Api, Call, require_guild
from bot.relay.http.rules import Rule
from bot.relay.identity import IdentitySource
from bot.relay.upstream import Refused

OWN_NAMES = frozenset({"sandbox", "sandbox-admin"})
"""A guild's command of that name would hide the product's own."""

_MOST = {CHAT_INPUT: 100}
_MOST_OF_MENUS = 15


class CommandRoutes:
    """Adds itself to the API."""

    def __init__(self, api: Api, identity: IdentitySource, store: CommandStore, guilds: GuildCommands) -> None:
        self._api, self._identity, self._store, self._guilds = api, identity, store, guilds
        api.handlers[Rule.COMMANDS] = api.handlers[Rule.GUILD_COMMANDS] = self._handle
        api.handlers[Rule.PERMISSIONS] = self._permissions

    async def _handle(self, call: Call) -> web.Response:
        scope = self._scope(call)
        method, single = call.match.operation.method, "command" in call.match.values
        if method == "GET":
            return await (self._show(call, scope) if single else self._list(scope))
        if method == "DELETE":
            return await self._delete(call, scope)
        if method == "PATCH":
            return await self._edit(call, scope)
        return await (self._overwrite(call, scope) if method == "PUT" else self._create(call, scope))

    def _scope(self, call: Call) -> Scope:
        if "guild" not in call.match.values:
            return Scope(call.tenant.sandbox_id, None)
        require_guild(call.tenant, call.snowflake("guild"))
        return Scope(call.tenant.sandbox_id, call.snowflake("guild"))

    async def _list(self, scope: Scope) -> web.Response:
        return answered([await self._shown(row) for row in await self._store.registered(scope)])

    async def _show(self, call: Call, scope: Scope) -> web.Response:
        return answered(await self._shown(await self._require(call, scope)))

    async def _create(self, call: Call, scope: Scope) -> web.Response:
        definition = _checked(call.body.json)
        known = {(row["type"], row["name"]) for row in await self._store.registered(scope)}
        before = await self._store.put(scope, [definition], replace_all=False)
        await self._apply(scope, before)
        made = next(
            row for row in await self._store.registered(scope) if (row["type"], row["name"]) == key_of(definition)
        )
        return answered(await self._shown(made), 200 if key_of(definition) in known else 201)

    async def _overwrite(self, call: Call, scope: Scope) -> web.Response:
        if not isinstance(call.body.json, list):
            raise _invalid("a list of commands is expected")
        definitions = [_checked(definition) for definition in call.body.json]
        _require_room(definitions)
        await self._apply(scope, await self._store.put(scope, definitions, replace_all=True))
        return await self._list(scope)

    async def _edit(self, call: Call, scope: Scope) -> web.Response:
        row, changes = await self._require(call, scope), call.body.json
        if not isinstance(changes, dict):
            raise _invalid("an object is expected")
        definition = _checked({**row["definition"], **changes})
        if key_of(definition) != (row["type"], row["name"]):
            raise _invalid("the relay does not rename a command: delete it and make another")
        await self._apply(scope, await self._store.put(scope, [definition], replace_all=False))
        return await self._show(call, scope)

    async def _delete(self, call: Call, scope: Scope) -> web.Response:
        await self._require(call, scope)
        await self._apply(scope, await self._store.delete(scope, call.snowflake("command")))
        return web.Response(status=204)

    async def _permissions(self, call: Call) -> web.Response:
        """Discord's ids in place of those that the bot was told."""
        require_guild(call.tenant, call.snowflake("guild"))
        if "command" not in call.match.values:
            return passed_back(await self._api.ask(call))
        discords_id = await self._guilds.id_in_guild(call.snowflake("guild"), call.snowflake("command"))
        if discords_id is None:
            raise Denied(404, 10066, "Unknown application command permissions")
        path = call.match.path.replace(f"/{call.match.values['command']}/", f"/{discords_id}/")
        return passed_back(await self._api.ask(call, path=path))

    async def _require(self, call: Call, scope: Scope) -> asyncpg.Record:
        row = await self._store.get(scope, call.snowflake("command"))
        if row is None:
            raise Denied(404, 10063, "Unknown application command")
        return row

    async def _apply(self, scope: Scope, before: Sequence[asyncpg.Record]) -> None:
        """In every guild at once, or not at all: what Discord refuses is as if it had not been registered."""
        guild_ids = await self._guilds.guilds_of(scope)
        try:
            for guild_id in guild_ids:
                await self._guilds.apply(guild_id)
        except Refused as refused:
            await self._store.restore(scope, before)
            with suppress(Refused):  # it took these before; if not now, the turn over all guilds tries again
                for guild_id in guild_ids:
                    await self._guilds.apply(guild_id)
            raise _AsDiscordSays(refused) from refused

    async def _shown(self, row: asyncpg.Record) -> Definition:
        shown = {
            "default_member_permissions": None,
            "nsfw": False,
            "description": "",
            **row["definition"],
            "id": str(row["id"]),
            "application_id": (await self._identity.get()).application_id,
            "version": str(row["version"]),
            "type": row["type"],
        }
        return shown | ({"guild_id": str(row["guild_id"])} if row["guild_id"] is not None else {})


class _AsDiscordSays(Denied):
    """Discord's own answer, which tells the bot's author what is wrong."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.answer.status, 0, "")
        self._answer = refused.answer

    def response(self) -> web.Response:
        return passed_back(self._answer)


def _checked(definition: Any) -> Definition:
    """What has to hold here; the rest Discord checks."""
    if not isinstance(definition, dict) or not isinstance(definition.get("name"), str):
        raise _invalid("a command has a name")
    if type(definition.get("type") or CHAT_INPUT) is not int:
        raise _invalid("a command's type is a number")
    if definition["name"] in OWN_NAMES:
        raise _invalid(f"/{definition['name']} is the command that manages this sandbox; choose another name")
    return {name: value for name, value in definition.items() if name not in ("id", "application_id", "guild_id")}


def _require_room(definitions: Sequence[Definition]) -> None:
    for kind in {key_of(definition)[0] for definition in definitions}:
        if sum(key_of(definition)[0] == kind for definition in definitions) > _MOST.get(kind, _MOST_OF_MENUS):
            raise Denied(400, 30032, "Maximum number of application commands reached")


def _invalid(why: str) -> Denied:
    return Denied(400, 50035, f"Invalid Form Body ({why})")
