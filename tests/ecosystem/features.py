"""What a bot has to do, each seen at Discord's side: a person does something there, and the bot's answer is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bot.relay.server import Relay
from local_discord import Channel, Guild, LocalDiscord, Message, Person, Reply
from tests.ecosystem.process import BotProcess

_WITHIN_S = 10.0
_READY_WITHIN_S = 40.0
"""A cold start compiles a library first."""


class Missing(Exception):
    """What should have happened, and did not."""


@dataclass
class Stage:
    """One bot in its server."""

    discord: LocalDiscord
    guild: Guild
    ada: Person
    bot: BotProcess
    relay: Relay
    bind: Callable[[Guild], Awaitable[object]]
    """Gives its sandbox another server."""

    async def until[T](self, what: str, look: Callable[[], T]) -> T:
        """What `look` finds, as soon as that is something. `Missing` if it never is."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                while not (found := look()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise Missing(what) from None
        return found

    async def written(self, content: str, channel: Channel | None = None, *, after: int = 0) -> Message:
        """A message of the application's with that text."""
        place = channel or self.guild.general

        def look() -> Message | None:
            messages = [each for number, each in place.messages.items() if number > after and each.author.bot]
            return next((each for each in messages if each.content == content), None)

        return await self.until(f"no message “{content}”", look)

    async def command(self, path: str, **options: Any) -> Reply:
        """Ada uses it where everybody sees the answer."""
        reply = await self.ada.command(path, channel=self.guild.general, **options)
        require(not reply.failed, "the application did not respond")
        return reply

    async def say(self, content: str) -> Message:
        """Ada does."""
        return await self.ada.send(self.guild.general, content)

    async def menu(self) -> Message:
        """The message with buttons and a select menu."""
        message = (await self.command("menu")).message
        if message is None:
            raise Missing("no menu")
        return message


def require(condition: object, otherwise: str) -> None:
    """`Missing` unless it holds."""
    if not condition:
        raise Missing(otherwise)


async def ready(stage: Stage) -> None:
    wanted = f"ready {stage.discord.bot_user.name} {stage.guild.name}"
    await stage.bot.says(lambda line: line == wanted, _READY_WITHIN_S)


async def message_reply(stage: Stage) -> None:
    sent = await stage.say("hello")
    answer = await stage.written("hello ada")
    require((answer.reference or {}).get("message_id") == str(sent.id), "it is no reply")


async def global_command(stage: Stage) -> None:
    await stage.until("/ping is not in the server", lambda: "ping" in _names(stage))
    require(all(each["name"] != "ping" for each in stage.discord.commands), "/ping is everybody's")
    _require_answer(await stage.command("ping"), "pong")


async def guild_command(stage: Stage) -> None:
    await stage.until("/here is not in the server", lambda: "here" in _names(stage))
    _require_answer(await stage.command("here"), f"pong in {stage.guild.name}")


async def deferred(stage: Stage) -> None:
    reply = await stage.command("slow")
    require(reply.deferred, "it did not defer")
    _require_answer(reply, "thought about it")


async def edit(stage: Stage) -> None:
    reply = await stage.command("edit")
    await stage.until("the answer is not edited", lambda: reply.message and reply.message.content == "after")


async def follow_up(stage: Stage) -> None:
    reply = await stage.command("more")
    await stage.until("no follow-up", lambda: [each.content for each in reply.messages] == ["first", "second"])


async def button(stage: Stage) -> None:
    message = await stage.menu()
    await stage.ada.click(message, "Press")
    require(message.content == "pressed by ada", f"it shows “{message.content}”")


async def select(stage: Stage) -> None:
    _require_answer(await stage.ada.select(await stage.menu(), "Choose", ["red"]), "chose red")


async def modal(stage: Stage) -> None:
    form = (await stage.ada.click(await stage.menu(), "Form")).modal
    require(form, "no modal is opened")
    _require_answer(await stage.ada.submit(form, name="Grace"), "hello Grace")


async def autocomplete(stage: Stage) -> None:
    choices = await stage.ada.autocomplete("colour", focused="name", name="re", channel=stage.guild.general)
    require([choice["value"] for choice in choices] == ["red"], f"it proposes {choices}")
    _require_answer(await stage.command("colour", name="red"), "red it is")


async def upload(stage: Stage) -> None:
    await stage.say("!upload")
    files = [(each.filename, each.content) for each in (await stage.written("a file")).attachments]
    require(files == [("note.txt", b"made in the sandbox")], f"its files are {files}")


async def members(stage: Stage) -> None:
    await stage.say("!members")
    await stage.written("members: ada bob")


async def reaction(stage: Stage) -> None:
    asked = await stage.say("!react")
    await _reacts(stage, asked)
    await stage.ada.react(asked, "🎉")
    await stage.written("ada reacted with 🎉")


async def thread(stage: Stage) -> None:
    asked = await stage.say("!thread")
    talk = await stage.until("no thread", lambda: next(iter(stage.guild.threads.values()), None))
    require((talk.id, talk.name) == (asked.id, "talk"), f"the thread is {talk}")
    await stage.written("hi in the thread", talk)
    await stage.ada.send(talk, "hello")
    await stage.written("hello ada", talk)


async def webhook(stage: Stage) -> None:
    await stage.say("!webhook")
    said = await stage.written("said by the webhook")
    require(said.author.name == "Echo", f"it is said by {said.author.name}")


async def resume(stage: Stage) -> None:
    sessions = _sessions(stage)
    await stage.relay.gateway.stop()  # everybody is sent away
    sent = await stage.say("hello")
    await stage.written("hello ada", after=sent.id)
    require(_sessions(stage) == sessions, "it has not resumed its session")
    await _reacts(stage, await stage.say("!react"))
    answers = [each.content for number, each in stage.guild.general.messages.items() if number > sent.id]
    require(answers.count("hello ada") == 1, "it has heard a message more than once")


async def bind(stage: Stage) -> None:
    annex = stage.discord.add_guild(f"Annex of {stage.guild.name}", owner=stage.ada)
    await stage.bind(annex)
    await stage.ada.send(annex.general, "hello")
    await stage.written("hello ada", annex.general)


FEATURES: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "ready": ready,
    "reply": message_reply,
    "global": global_command,
    "guild": guild_command,
    "defer": deferred,
    "edit": edit,
    "follow": follow_up,
    "button": button,
    "select": select,
    "modal": modal,
    "complete": autocomplete,
    "file": upload,
    "members": members,
    "react": reaction,
    "thread": thread,
    "webhook": webhook,
    "resume": resume,
    "bind": bind,
}
"""By what stands above their columns; each needs those before it only as far as the first."""


def _names(stage: Stage) -> set[str]:
    return {str(command["name"]) for command in stage.discord.guild_commands.get(stage.guild.id, [])}


def _sessions(stage: Stage) -> set[str]:
    """Those of all who are connected to the relay."""
    return {client.session.id for client in stage.relay.gateway.clients if client.session is not None}


async def _reacts(stage: Stage, message: Message) -> None:
    bot_id = stage.discord.bot_user.id
    await stage.until("no reaction of the bot's", lambda: bot_id in message.reactions.get("👍", ()))


def _require_answer(reply: Reply, content: str) -> None:
    shown = reply.message.content if reply.message is not None else None
    require(shown == content, f"the answer is {shown!r}")


async def try_all(stage: Stage) -> dict[str, str]:
    """Why it failed, by feature; nothing for what is as it should be."""
    failed: dict[str, str] = {}
    for name, feature in FEATURES.items():
        try:
            await feature(stage)
        except Exception as error:  # whatever it is, the others are tried all the same
            failed[name] = str(error) or type(error).__name__
        if "ready" in failed:
            return failed | {each: "it is not ready" for each in FEATURES if each != "ready"}
    return failed
