"""Messages: where a sandbox's bot may write, and which it may change. All bots are the application's one user, so that
Discord would let each change what the others, and the team's own bot, have written."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Literal

from aiohttp import web

from bot import constants
from bot.relay.http.answers import Denied, answered, missing_access, passed_back
from bot.relay.http.api import Api, Call
from bot.relay.http.bodies import BadBody, Body
from bot.relay.http.references import snowflake
from bot.relay.http.rules import Rule
from bot.relay.identity import IdentitySource
from bot.relay.made import DirectChannels, MadeMessages
from bot.relay.tenants import Tenant
from bot.relay.upstream import Refused, Upstream

DirectMessages = Literal["owner", "members", "nobody"]
"""To whom a sandbox's bot may write: the sandbox's owner, members of its guilds, or nobody."""

_CANNOT_WRITE = 50007
_MOST_AT_ONCE = 100


class MessageRoutes:
    """Adds itself to the API."""

    def __init__(
        self,
        api: Api,
        upstream: Upstream,
        identity: IdentitySource,
        made: MadeMessages,
        direct: DirectChannels,
        policy: DirectMessages,
    ) -> None:
        self._api, self._upstream, self._identity = api, upstream, identity
        self._made, self._direct, self._policy = made, direct, policy
        self._members: dict[tuple[int, int], float] = {}
        """Of guild and user: until when they are taken for one."""
        api.handlers[Rule.DIRECT_CHANNEL] = self._open
        api.handlers[Rule.CHANNEL] = self._in_channel
        api.handlers[Rule.POST_MESSAGE] = self._post
        api.handlers[Rule.NEW_THREAD] = self._new_thread
        api.handlers[Rule.CHANGE_MESSAGE] = self._change

    async def _open(self, call: Call) -> web.Response:
        recipient = snowflake(call.body.get("recipient_id"), "recipient_id")
        await self._require_writable(call.tenant, recipient)
        answer = await self._api.ask(replace(call, body=Body({"recipient_id": str(recipient)}, is_empty=False)))
        if answer.status != 200 or answer.snowflake is None:
            return passed_back(answer)
        await self._direct.opened(call.tenant.sandbox_id, answer.snowflake, recipient)
        # When others have written there last is theirs.
        return answered({**answer.json(), "last_message_id": None, "last_pin_timestamp": None})

    async def _in_channel(self, call: Call) -> web.Response:
        await self._require_place(call, call.snowflake("channel"))
        return passed_back(await self._api.ask(call))

    async def _post(self, call: Call) -> web.Response:
        place = call.snowflake("channel")
        is_direct = await self._require_place(call, place)
        reference = call.body.get("message_reference")
        if isinstance(reference, dict):
            await self._require_reference(call, reference, place, is_direct)
        elif reference is not None:
            raise BadBody("message_reference is no object.")
        answer = await self._api.ask(call)
        if answer.status < 300 and answer.snowflake is not None:
            await self._made.add(call.tenant.sandbox_id, answer.snowflake)
        return passed_back(answer)

    async def _new_thread(self, call: Call) -> web.Response:
        await self._api.require_channel(call.tenant, call.snowflake("channel"))
        answer = await self._api.ask(call)
        if answer.status < 300 and answer.snowflake is not None:  # the message that it begins with has the same id
            await self._made.add(call.tenant.sandbox_id, answer.snowflake)
        return passed_back(answer)

    async def _change(self, call: Call) -> web.Response:
        channel_id = call.snowflake("channel")
        is_direct = await self._require_place(call, channel_id)
        changed = _changed(call)
        others = set(changed) - await self._made.among(call.tenant.sandbox_id, changed)
        if others and is_direct:
            raise _not_its_own(others)
        if others:
            await self._require_not_the_applications(call.tenant, channel_id, others)
        return passed_back(await self._api.ask(call))

    async def _require_place(self, call: Call, channel_id: int) -> bool:
        """Whether it is a direct channel. `Denied` unless the sandbox's bot may write there."""
        tenant = call.tenant
        if await self._api.guild_of_channel(tenant, channel_id) is not None:
            return False
        recipient = await self._direct.recipient(tenant.sandbox_id, channel_id)
        if recipient is None:
            raise missing_access("this channel is not in a server of the sandbox, nor a direct one that it has opened")
        await self._require_writable(tenant, recipient)
        return True

    async def _require_reference(self, call: Call, reference: dict[str, Any], place: int, is_direct: bool) -> None:
        """What is replied to or forwarded is shown in Discord's answer: of a direct channel, only what is its own."""
        named = reference.get("channel_id")
        channel_id = place if named is None else snowflake(named, "channel_id")
        if channel_id != place:
            is_direct = await self._require_place(call, channel_id)
        if is_direct:
            message_id = snowflake(reference.get("message_id"), "message_id")
            if not await self._made.among(call.tenant.sandbox_id, [message_id]):
                raise _not_its_own([message_id])

    async def _require_writable(self, tenant: Tenant, recipient: int) -> None:
        is_owner = recipient == tenant.owner_id
        if self._policy != "nobody" and is_owner:
            return
        if self._policy == "members" and await self._is_member(tenant, recipient):
            return
        who = {"owner": "its owner", "members": "members of its servers", "nobody": "nobody"}[self._policy]
        raise Denied(403, _CANNOT_WRITE, f"Cannot send messages to this user (a sandbox's bot may write to {who})")

    async def _is_member(self, tenant: Tenant, user_id: int) -> bool:
        now = time.monotonic()
        self._members = {key: until for key, until in self._members.items() if until > now}
        guild_ids = sorted(tenant.guild_ids)
        if any((guild_id, user_id) in self._members for guild_id in guild_ids):
            return True
        for guild_id in guild_ids:
            try:
                await self._upstream.get(f"/guilds/{guild_id}/members/{user_id}", sandbox_id=tenant.sandbox_id)
            except Refused:
                continue
            self._members[guild_id, user_id] = now + constants.RELAY_MEMBERSHIP_KEPT_S
            return True
        return False

    async def _require_not_the_applications(self, tenant: Tenant, channel_id: int, message_ids: set[int]) -> None:
        me = (await self._identity.get()).user_id
        written = [each for each in await self._shown(tenant, channel_id, message_ids) if _author_of(each) == me]
        answers = {interaction: int(each["id"]) for each in written if (interaction := _interaction_of(each))}
        its_own = {answers[each] for each in await self._made.among(tenant.sandbox_id, answers)}
        if foreign := {int(each["id"]) for each in written} - its_own:
            raise _not_its_own(foreign)

    async def _shown(self, tenant: Tenant, channel_id: int, message_ids: set[int]) -> list[dict[str, Any]]:
        """Those of the messages that Discord shows; about the others it says itself what is wrong."""
        path, found, left = f"/channels/{channel_id}/messages", [], set(message_ids)
        if len(left) > constants.RELAY_MESSAGES_LOOKED_UP:
            page = await self._get(tenant, path, f"limit=100&before={max(left) + 1}")
            found = [each for each in page or [] if int(each["id"]) in left]
            left -= {int(each["id"]) for each in found}
        for message_id in sorted(left):
            if (message := await self._get(tenant, f"{path}/{message_id}")) is not None:
                found.append(message)
        return found

    async def _get(self, tenant: Tenant, path: str, query: str = "") -> Any:
        try:
            return await self._upstream.get(path, query, sandbox_id=tenant.sandbox_id)
        except Refused:
            return None


def _changed(call: Call) -> Collection[int]:
    if "message" in call.match.values:
        return [call.snowflake("message")]
    messages = call.body.get("messages")
    if not isinstance(messages, list) or len(messages) > _MOST_AT_ONCE:
        raise BadBody(f"messages is no list of at most {_MOST_AT_ONCE}.")
    return [snowflake(each, "messages") for each in messages]


def _author_of(message: dict[str, Any]) -> str:
    return str((message.get("author") or {}).get("id"))


def _interaction_of(message: dict[str, Any]) -> int | None:
    """The one that the message answers."""
    answered_one = message.get("interaction_metadata") or message.get("interaction") or {}
    return int(answered_one["id"]) if "id" in answered_one else None


def _not_its_own(message_ids: Iterable[int]) -> Denied:
    named = ", ".join(map(str, sorted(message_ids)))
    return missing_access(f"the application's messages that this sandbox has not made are not its own: {named}")
