"""The steps of the tour: what somebody does, and what has to be true then."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial

from bot.demo.break_in import ATTEMPTS
from bot.demo.scenario import GRACE, Scenario
from bot.demo.transcript import Transcript
from bot.durations import format_duration
from bot.sandboxes.model import Sandbox, SandboxStatus
from local_discord import Channel, Guild, Message, Person, Reply


class StepFailed(Exception):
    """What the step should have shown did not happen."""


class Steps:
    """They build on each other, and are shown under their docstrings. A step raises `StepFailed` or `TimeoutError`."""

    def __init__(self, scenario: Scenario, transcript: Transcript) -> None:
        self.scenario, self.transcript = scenario, transcript

    @property
    def in_order(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Each with its title."""
        steps = (
            self.create_and_bind,
            self.create_then_bind,
            self.connect,
            self.message_for_ada,
            self.message_for_bob,
            self.message_for_nobody,
            self.foreign_command,
            self.status,
            self.break_in,
            self.refused,
            self.extend,
            self.expire,
            self.reclaimed,
            self.destroy,
        )
        return [((inspect.getdoc(step) or "").rstrip("."), step) for step in steps]

    async def create_and_bind(self) -> None:
        """Ada creates a sandbox and binds the server she is in."""
        here = self.scenario.lab.general
        await self.use_command(self.scenario.ada, here, "sandbox create", name="login-page", ttl="8h", bind_here=True)
        sandbox = await self.sandbox("login-page")
        self.check(sandbox.guild_ids == (self.scenario.lab.id,), "the server is bound")

    async def create_then_bind(self) -> None:
        """Bob creates his own, then binds his server to it."""
        bob, general = self.scenario.bob, self.scenario.arcade.general
        await self.use_command(bob, general, "sandbox create", name="leaderboard")
        await self.use_command(bob, general, "sandbox bind-guild", sandbox="leaderboard")
        sandbox = await self.sandbox("leaderboard")
        self.check(sandbox.guild_ids == (self.scenario.arcade.id,), "the server is bound")

    async def connect(self) -> None:
        """Each gets the environment of a worker, with credentials of its own, and starts one."""
        scenario = self.scenario
        await self.connect_worker(scenario.ada, scenario.lab.general, "login-page")
        self.check("login-page" in scenario.workers, "the file that is attached is all that a worker needs")
        await self.connect_worker(scenario.bob, scenario.arcade.general, "leaderboard", shown=False)
        self.transcript.note("  Bob does the same for “leaderboard”.")

    async def message_for_ada(self) -> None:
        """A message in Ada's server arrives in her sandbox, and only there."""
        await self.check_routed(
            self.scenario.ada, self.scenario.lab, "login-page", "is the new login up?", "leaderboard"
        )

    async def message_for_bob(self) -> None:
        """The same for Bob: two sandboxes, side by side."""
        await self.check_routed(self.scenario.bob, self.scenario.arcade, "leaderboard", "who leads?", "login-page")

    async def message_for_nobody(self) -> None:
        """A server that is bound to nothing goes nowhere."""
        before = {name: await worker.count() for name, worker in self.scenario.workers.items()}
        self.transcript.says(self.scenario.bob, self.scenario.lobby.general, "anybody here?")
        await self.scenario.bob.send(self.scenario.lobby.general, "anybody here?")
        await self.until_routed()
        after = {name: await worker.count() for name, worker in self.scenario.workers.items()}
        before["login-page"] += 1  # by until_routed
        self.check(after == before, "no event of it is in any stream")

    async def foreign_command(self) -> None:
        """A slash command of Bob's is forwarded to his worker, which answers it."""
        bob, worker = self.scenario.bob, self.scenario.workers["leaderboard"]
        self.transcript.says(bob, self.scenario.arcade.general, "/score player:ada")
        reply = await bob.use_foreign_command("score", channel=self.scenario.arcade.general, player="ada")
        event = await worker.receive("INTERACTION_CREATE")
        self.transcript.arrives(worker.subject_of(event), event, "leaderboard")
        self.check(event.data["data"]["name"] == "score", "it came first: no /sandbox command was forwarded before it")
        await event.reply("ada leads with 3 points", ephemeral=True)
        await reply.wait_for(lambda reply: reply.message is not None)
        self.transcript.shows(_message(reply), bob.name)
        self.check("leads" in _message(reply).content, "it took the interaction's id and token, not the bot's token")

    async def status(self) -> None:
        """Ada's worker leaves rows and keys behind, and she looks at the status."""
        worker = self.scenario.workers["login-page"].kit
        add_lab = "INSERT INTO communities (guild_id, name) VALUES ($1, 'Ada''s Lab')"
        await worker.pg.execute(add_lab, Decimal(self.scenario.lab.id))
        await worker.redis.set("greeting", "hello")
        reply = await self.use_command(self.scenario.ada, None, "sandbox status", sandbox="login-page")
        text = json.dumps(_message(reply).embeds)
        self.check("1 row," in text and "1 key" in text, "each store was really asked")

    async def break_in(self) -> None:
        """It tries to reach Bob's sandbox: PostgreSQL, Valkey and NATS refuse."""
        attacker, target = (
            self.scenario.workers["login-page"].kit.environment,
            self.scenario.workers["leaderboard"].sandbox,
        )
        for attempt in ATTEMPTS:
            tried, answer = await attempt(attacker, target)
            self.transcript.note(f"  {tried}")
            self.check(answer is not None, f"refused: {answer}")

    async def refused(self) -> None:
        """Bob may not touch Ada's sandbox."""
        reply = await self.use_command(
            self.scenario.bob, self.scenario.arcade.general, "sandbox destroy", sandbox="login-page"
        )
        self.check("SANDBOX_004" in json.dumps(_message(reply).embeds), "a refusal is a sentence and a code")
        self.check((await self.sandbox("login-page")).status is SandboxStatus.RUNNING, "it still runs")

    async def extend(self) -> None:
        """Ada extends her sandbox."""
        before = await self.sandbox("login-page")
        await self.use_command(
            self.scenario.ada, self.scenario.lab.general, "sandbox extend", sandbox="login-page", by="16h"
        )
        moved = (await self.sandbox("login-page")).expires_at - before.expires_at
        self.check(format_duration(moved) == "16h", "the expiry is 16 hours later")

    async def expire(self) -> None:
        """A short-lived sandbox expires: owner and admin hear of it before and after."""
        bob, olga, attic = self.scenario.bob, self.scenario.olga, self.scenario.attic
        await self.use_command(bob, attic.general, "sandbox create", name="try-out", ttl="4s", bind_here=True)
        await self.connect_worker(bob, attic.general, "try-out", shown=False)
        await self.check_routed(bob, attic, "try-out", "quick, before it expires", "login-page")
        for wanted in ("about to expire", "has expired"):
            for person in (bob, olga):
                message = await person.wait_for_dm(partial(_is_titled, wanted), timeout=10)
                self.transcript.shows(message, f"{person.name}, direct message")
        self.check(len(bob.inbox) == len(olga.inbox) == 2, "each came once, with a button that extends")

    async def reclaimed(self) -> None:
        """Nothing arrives after the expiry, and after the grace time everything is gone."""
        sandbox = await self.sandbox("try-out")
        worker = self.scenario.workers.pop("try-out")
        before = await worker.count()
        self.transcript.says(self.scenario.bob, self.scenario.attic.general, "and now?")
        await self.scenario.bob.send(self.scenario.attic.general, "and now?")
        await self.until_routed()
        self.check(await worker.count() == before, "a message after the expiry is not in the stream")
        self.transcript.note(f"  the grace time of the tour is {format_duration(GRACE)} …")
        async with asyncio.timeout(15):
            while await self.is_left(sandbox):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await self.check_gone(sandbox)

    async def destroy(self) -> None:
        """Ada destroys her sandbox; schema, keys and stream are gone."""
        ada, sandbox = self.scenario.ada, await self.sandbox("login-page")
        reply = await self.use_command(ada, self.scenario.lab.general, "sandbox destroy", sandbox="login-page")
        self.transcript.says(ada, self.scenario.lab.general, "presses “Destroy”")
        question = _message(reply)
        pressed = await ada.click(question, "Destroy")
        await pressed.wait_for(lambda _: "is destroyed" in _title(question), timeout=10)
        self.transcript.shows(question, ada.name)
        await self.check_gone(sandbox)

    async def use_command(self, person: Person, channel: Channel | None, command: str, **options: object) -> Reply:
        """Somebody uses a slash command and sees the answer."""
        typed = " ".join(f"{name}:{str(value).lower()}" for name, value in options.items())
        self.transcript.says(person, channel, f"/{command} {typed}".strip())
        reply = await person.command(command, channel=channel, **options)
        if reply.message is None:
            raise StepFailed("the bot did not answer")
        self.transcript.shows(reply.message, person.name)
        return reply

    async def connect_worker(self, person: Person, channel: Channel, name: str, *, shown: bool = True) -> None:
        """With the file that `/sandbox connect` attaches, and nothing else."""
        if shown:
            reply = await self.use_command(person, channel, "sandbox connect", sandbox=name)
        else:
            reply = await person.command("sandbox connect", channel=channel, sandbox=name)
        (attachment,) = _message(reply).attachments
        await self.scenario.start_worker(await self.sandbox(name), attachment.content.decode())

    async def check_routed(self, person: Person, guild: Guild, name: str, text: str, other: str) -> None:
        """Somebody writes in a bound server; the event is in that sandbox's stream and in no other."""
        before = await self.scenario.workers[other].count()
        self.transcript.says(person, guild.general, text)
        await person.send(guild.general, text)
        worker = self.scenario.workers[name]
        event = await worker.receive("MESSAGE_CREATE")
        self.transcript.arrives(worker.subject_of(event), event, name)
        sent = [record.text for record in self.scenario.discord.dispatched if record.event == "MESSAGE_CREATE"]
        self.check(event.raw.decode() == sent[-1], "byte for byte what Discord's gateway sent")
        self.check(await self.scenario.workers[other].count() == before, f"nothing new in the stream of “{other}”")

    async def until_routed(self) -> None:
        """Returns when the bot has routed all that was sent so far."""
        worker = self.scenario.workers["login-page"]
        await self.scenario.ada.typing(self.scenario.lab.general)
        await worker.receive("TYPING_START")

    async def sandbox(self, name: str) -> Sandbox:
        """The living sandbox of that name, as the manager knows it."""
        return await self.scenario.app.manager.get_by_name(name)

    async def is_left(self, sandbox: Sandbox) -> bool:
        """Whether it is not wholly destroyed yet."""
        return (await self.scenario.app.manager.get_by_id(sandbox.id)).status is not SandboxStatus.DESTROYED

    async def check_gone(self, sandbox: Sandbox) -> None:
        """Nothing of the sandbox is left in any store."""
        stores = self.scenario.app.stores
        schema = await stores.pool.fetchval("SELECT to_regnamespace($1)", sandbox.schema_name)
        self.check(schema is None, f"schema {sandbox.schema_name} is gone")
        keys = await stores.redis.keys(f"{sandbox.redis_prefix}*")
        self.check(not keys, f"keys {sandbox.redis_prefix}* are gone")
        streams = [stream.config.name for stream in await stores.nats.jetstream().streams_info()]
        self.check(sandbox.stream not in streams, f"stream {sandbox.stream} is gone")

    def check(self, condition: bool, fact: str) -> None:
        """Shows the fact, or fails the step."""
        if not condition:
            raise StepFailed(f"not true: {fact}")
        self.transcript.fact(fact)


def _message(reply: Reply) -> Message:
    if reply.message is None:
        raise StepFailed("the bot did not answer")
    return reply.message


def _is_titled(wanted: str, message: Message) -> bool:
    return wanted in _title(message)


def _title(message: Message) -> str:
    return str(message.embeds[0].get("title", "")) if message.embeds else ""
