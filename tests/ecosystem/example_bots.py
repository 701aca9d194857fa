"""`make example-bots`: first bots as their authors wrote them, for Discord alone, against `sandbox-bot discord`.

Each knows of no other Discord than discord.com. Ends with 1 if anything is not as it should be.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from bot import log
from bot.local.serving import WorldSource, open_local_discord, run_against
from local_discord import Guild, LocalDiscord, Message, Person, Reply
from tests.ecosystem.environments import Environment, NotPossible
from tests.ecosystem.libraries import HERE, library

SCRIPTS = {
    "discord.py": "discord_py.py",
    "py-cord": "py_cord.py",
    "hikari": "hikari_bot.py",
    "discord.js": "discord_js.js",
}
"""By the library; each in `examples/`."""
_READY_WITHIN_S, _WITHIN_S = 90.0, 20.0
_TRIES = 4


@dataclass(frozen=True)
class Scene:
    """One bot, in the server of Ada, whose member Bob is."""

    discord: LocalDiscord
    lab: Guild
    ada: Person
    bob: Person

    async def asks(self, content: str, answer: str) -> Message:
        """Ada writes; the bot's first answer in that text."""
        asked = await self.ada.send(self.lab.general, content)
        return await self.says(answer, after=asked)

    async def says(self, answer: str, *, after: Message | None = None) -> Message:
        """The bot's first message with that text."""
        return await self.ada.wait_for_message(
            self.lab.general, lambda one: one.content == answer, after=after, timeout=_WITHIN_S
        )

    async def repeats(self, content: str, answer: str) -> Message:
        """Ada writes it until the bot answers in that text."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                await self.ada.send(self.lab.general, content)
                try:
                    return await self.ada.wait_for_message(
                        self.lab.general, lambda one: one.content == answer, timeout=0.5
                    )
                except TimeoutError:
                    continue

    async def is_so(self, look: Callable[[], bool]) -> None:
        """Now or soon."""
        async with asyncio.timeout(_WITHIN_S):
            while not look():
                await asyncio.sleep(0.02)


async def answered(act: Callable[[], Awaitable[Reply]]) -> Reply:
    """The answer to what a person does, and does again if there is none: a library may listen for a press only when it
    has heard that its button was shown, for which no person is too fast, but this one is."""
    for _ in range(_TRIES):
        reply = await act()
        if not reply.failed:
            return reply
    raise TimeoutError("the application did not respond")


async def commands_in_messages(scene: Scene) -> None:
    await scene.asks("!add 2 3", "5")


async def shows_an_embed(scene: Scene) -> None:
    asked = await scene.ada.send(scene.lab.general, "!about")
    message = await scene.ada.wait_for_message(scene.lab.general, after=asked, timeout=_WITHIN_S)
    (embed,) = message.embeds
    assert (embed["title"], embed["color"]) == ("About", 0x5865F2)


async def edits(scene: Scene) -> None:
    await scene.asks("!edit", "40")


async def waits_for_an_answer(scene: Scene) -> None:
    await scene.asks("!guess", "Guess a number between 1 and 10")
    right = await scene.repeats("7", "Right!")  # the bot listens when it has heard that its question was posted
    assert right.replied_to is not None
    assert right.replied_to.content == "!guess"


async def minds_a_refusal(scene: Scene) -> None:
    await scene.asks(f"!ban {scene.bob.mention}", "I may not: 50013")


async def welcomes(scene: Scene) -> None:
    carol = scene.discord.add_person("carol")
    scene.lab.add_member(carol)
    await scene.says(f"Welcome {carol.mention} to Ada's Lab!")


async def gives_a_role_for_a_reaction(scene: Scene) -> None:
    asked = await scene.ada.send(scene.lab.general, "Who wants red?")
    await scene.bob.react(asked, "🔴")
    await scene.is_so(lambda: "red" in [role.name for role in scene.lab.members[scene.bob.id].roles])


async def answers_a_slash_command(scene: Scene) -> None:
    await scene.is_so(lambda: "add" in [command["name"] for command in scene.discord.commands])
    reply = await scene.ada.command("add", channel=scene.lab.general, left=2, right=3)
    assert reply.message is not None
    assert reply.message.content == "2 + 3 = 5"


async def counts_by_a_button(scene: Scene) -> None:
    message = (await scene.ada.command("counter", channel=scene.lab.general)).message
    assert message is not None
    for label in ("0", "1"):
        await answered(partial(scene.ada.click, message, label))
    assert message.components[0]["components"][0]["label"] == "2"


async def takes_a_form(scene: Scene) -> None:
    opened = await scene.ada.command("feedback", channel=scene.lab.general)
    reply = await answered(partial(scene.ada.submit, opened.modal, name="Ada"))
    assert reply.message is not None
    assert (reply.message.content, reply.message.ephemeral) == ("Thanks, Ada!", True)


async def is_in_a_messages_menu(scene: Scene) -> None:
    rude = await scene.bob.send(scene.lab.general, "something rude")
    reply = await scene.ada.use_on(rude, "Report")
    assert reply.message is not None
    assert reply.message.content == "Reported what bob wrote"


async def resumes(scene: Scene) -> None:
    await scene.discord.hang_up(code=4000)
    await scene.is_so(lambda: scene.discord.connections == 0 or scene.discord.resumes > 0)
    await scene.asks("!add 3 4", "7")
    assert scene.discord.resumes == 1


STEPS: tuple[Callable[[Scene], Awaitable[None]], ...] = (
    commands_in_messages,
    shows_an_embed,
    edits,
    waits_for_an_answer,
    minds_a_refusal,
    welcomes,
    gives_a_role_for_a_reaction,
    answers_a_slash_command,
    counts_by_a_button,
    takes_a_form,
    is_in_a_messages_menu,
    resumes,
)


async def open_scene(discord: LocalDiscord) -> Scene:
    """In the small world: the bot may give roles, and nothing else that takes a permission."""
    (lab,) = discord.world.guilds.values()
    people = {user.name: user for user in discord.world.users.values() if isinstance(user, Person)}
    lab.add_role("red")
    lab.add_member(discord.bot_user, permissions=["manage_roles"])
    return Scene(discord, lab, people["ada"], people["bob"])


async def try_bot(name: str) -> list[str]:
    """What was not as it should be. `NotPossible` if its library isn't to be had."""
    packages, script = library(name).packages, HERE / "examples" / SCRIPTS[name]
    home = Environment(packages, script.suffix == ".py")
    await home.install()
    command = ["env", *(f"{key}={value}" for key, value in home.variables().items()), home.interpreter(), str(script)]
    async with open_local_discord(WorldSource()) as discord:
        scene = await open_scene(discord)
        bot = asyncio.create_task(run_against(discord, command, ["DISCORD_TOKEN"]))
        try:
            return await _walk(scene)
        finally:
            bot.cancel()
            await asyncio.wait([bot])


async def _walk(scene: Scene) -> list[str]:
    await scene.discord.wait_ready(_READY_WITHIN_S)
    failed = []
    for step in STEPS:
        try:
            await step(scene)
        except Exception as error:  # whatever it is, the others are tried all the same
            failed.append(f"{step.__name__}: {type(error).__name__}: {error}")
    return failed + [f"missed: {operation}" for operation in scene.discord.missed]


async def _try_all(names: list[str]) -> int:
    whole = 0
    for name in names:
        began = time.monotonic()
        try:
            failed = await try_bot(name)
        except (NotPossible, TimeoutError) as why:
            failed = [str(why) or "it took too long"]
        whole += not failed
        told = "FAILED\n    " + "\n    ".join(failed) if failed else f"{len(STEPS)} of {len(STEPS)}"
        typer.echo(f"{name}: {told} ({time.monotonic() - began:.0f} s)")
    typer.echo(f"example bots: {whole}/{len(names)}")
    return int(whole != len(names))


def main(
    only: Annotated[list[str] | None, typer.Argument(help="Which libraries; all if none is named.")] = None,
) -> None:
    """Run first bots, unmodified, against `sandbox-bot discord`."""
    if unknown := set(only or ()) - SCRIPTS.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))} is none of {', '.join(SCRIPTS)}")
    log.configure("WARNING")
    sys.exit(asyncio.run(_try_all(only or [*SCRIPTS])))


if __name__ == "__main__":
    typer.run(main)
