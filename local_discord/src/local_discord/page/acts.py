"""What the page lets a person do, by the name that its script says."""

from __future__ import annotations

from base64 import b64decode
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from secrets import token_urlsafe
from typing import Any, TypeAlias

from local_discord.errors import ApiError, UsageError
from local_discord.page.view import View, sees
from local_discord.people.person import Person
from local_discord.server import LocalDiscord
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message
from local_discord.world.memberships import Role
from local_discord.world.replies import Modal, Reply

_Act: TypeAlias = Callable[[Person, Json], Awaitable[Json]]

_MODALS_KEPT = 100


class Acts:
    """Each is a call of the person's own method, with objects in place of the ids that the script knows."""

    def __init__(self, discord: LocalDiscord, view: View, *, portal: bool) -> None:
        """`portal`: whether those of the developer portal are among them."""
        self._discord, self._world, self._view = discord, discord.world, view
        self._modals: OrderedDict[str, Modal] = OrderedDict()
        self._acts: dict[str, _Act] = {
            "send": self._send,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "unreact": self._unreact,
            "vote": self._vote,
            "typing": self._typing,
            "pin": self._pin,
            "unpin": self._unpin,
            "start_thread": self._start_thread,
            "post": self._post,
            "command": self._command,
            "autocomplete": self._autocomplete,
            "use_on": self._use_on,
            "click": self._click,
            "select": self._select,
            "submit": self._submit,
        }
        if portal:
            self._acts["reset_token"] = self._reset_token

    async def perform(self, person: Person, form: Json) -> Json:
        """What came of it; a `UsageError` for what Discord's client would not let them do, or that is no act."""
        act = self._acts.get(str(form.get("act")))
        if act is None:
            raise UsageError("There is no such act.")
        try:
            return await act(person, form)
        except ApiError as refused:
            raise UsageError(refused.message, refused.code) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"That was not understood: {error!r}.") from error

    def channel(self, person: Person, channel_id: Any) -> Channel:
        """One that they see; a `UsageError` for any other."""
        channel = self._world.channel(int(channel_id))
        if not sees(person, channel):
            raise UsageError("There is no such channel.", 10003)
        return channel

    async def _send(self, person: Person, form: Json) -> Json:
        channel = self.channel(person, form["channel"])
        answered = self._message(person, form, "reply_to") if form.get("reply_to") else None
        files = [_file(one) for one in form.get("files") or ()]
        message = await person.send(channel, str(form.get("content", "")), reply_to=answered, files=files)
        return {"id": str(message.id)}

    async def _edit(self, person: Person, form: Json) -> Json:
        await person.edit(self._message(person, form), str(form["content"]))
        return {}

    async def _delete(self, person: Person, form: Json) -> Json:
        await person.delete(self._message(person, form))
        return {}

    async def _react(self, person: Person, form: Json) -> Json:
        await person.react(self._message(person, form), str(form["emoji"]))
        return {}

    async def _unreact(self, person: Person, form: Json) -> Json:
        await person.unreact(self._message(person, form), str(form["emoji"]))
        return {}

    async def _vote(self, person: Person, form: Json) -> Json:
        await person.vote(self._message(person, form), *(str(one) for one in form["answers"]))
        return {}

    async def _pin(self, person: Person, form: Json) -> Json:
        await person.pin(self._message(person, form))
        return {}

    async def _unpin(self, person: Person, form: Json) -> Json:
        await person.unpin(self._message(person, form))
        return {}

    async def _start_thread(self, person: Person, form: Json) -> Json:
        message = self._message(person, form)
        return {"id": str((await person.start_thread(message.channel, str(form["name"]), message=message)).id)}

    async def _post(self, person: Person, form: Json) -> Json:
        """In a forum, which holds no messages itself."""
        channel = self.channel(person, form["channel"])
        return {"id": str((await person.post(channel, str(form["title"]), str(form["content"]))).id)}

    async def _typing(self, person: Person, form: Json) -> Json:
        await person.typing(self.channel(person, form["channel"]))
        return {}

    async def _command(self, person: Person, form: Json) -> Json:
        channel, options = self.channel(person, form["channel"]), self._values(form.get("options"))
        return self._outcome(await person.command(str(form["path"]), options, channel=channel))

    async def _autocomplete(self, person: Person, form: Json) -> Json:
        channel, options = self.channel(person, form["channel"]), self._values(form.get("options"))
        path, focused = str(form["path"]), str(form["focused"])
        return {"choices": await person.autocomplete(path, options, focused=focused, channel=channel)}

    async def _use_on(self, person: Person, form: Json) -> Json:
        channel = self.channel(person, form["channel"])
        target = self._message(person, form) if form.get("message") else self._world.user(int(form["user"]))
        return self._outcome(await person.use_on(target, str(form["name"]), channel=channel))

    async def _click(self, person: Person, form: Json) -> Json:
        return self._outcome(await person.click(self._message(person, form), str(form["custom_id"])))

    async def _select(self, person: Person, form: Json) -> Json:
        values = [self._value(one) for one in form["values"]]
        return self._outcome(await person.select(self._message(person, form), str(form["custom_id"]), values))

    async def _submit(self, person: Person, form: Json) -> Json:
        reply = await person.submit(self._modals.get(str(form["modal"])), self._values(form.get("fields")))
        self._modals.pop(str(form["modal"]), None)
        return self._outcome(reply)

    async def _reset_token(self, person: Person, _: Json) -> Json:
        if person is not self._discord.owner:
            raise UsageError("Only whoever owns the application may reset the bot's token.")
        return {"token": await self._discord.reset_token()}

    def _message(self, person: Person, form: Json, key: str = "message") -> Message:
        channel = self.channel(person, form["channel"])
        message = self._view.message(channel, int(form[key]), person)
        if message is None:
            raise UsageError("The message is deleted.", 10008)
        return message

    def _outcome(self, reply: Reply) -> Json:
        """What no message of the bot's tells."""
        if reply.modal is None:
            return {"failed": reply.failed}
        key = token_urlsafe(8)
        self._modals[key] = reply.modal
        if len(self._modals) > _MODALS_KEPT:
            self._modals.popitem(last=False)
        return {"failed": False, "modal": {"key": key, **reply.modal.data}}

    def _values(self, given: Any) -> dict[str, Any]:
        return {str(name): self._value(value) for name, value in (given or {}).items()}

    def _value(self, value: Any) -> Any:
        """`{"user": id}`, `{"channel": id}`, `{"role": id}` and `{"file": [name, base64]}` stand for what they name."""
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if not isinstance(value, dict):
            return value
        ((kind, named),) = value.items()
        if kind == "file":
            return _file(named)
        found = {"user": self._world.user, "channel": self._world.channel, "role": self._role}[kind]
        return found(int(named))

    def _role(self, role_id: int) -> Role:
        for guild in self._world.guilds.values():
            if role_id in guild.roles:
                return guild.roles[role_id]
        raise UsageError("There is no such role.", 10011)


def _file(given: Any) -> tuple[str, bytes]:
    name, content = given
    return str(name), b64decode(content, validate=True)
