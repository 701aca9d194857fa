"""`sandbox-bot demo`: the main job, walked through step by step, each step checked as it is shown."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

from loguru import logger

from bot.demo.burglary import ATTEMPTS
from bot.demo.stage import GRACE, Stage, set_stage
from bot.demo.transcript import Transcript
from bot.durations import format_duration
from bot.sandboxes.model import Sandbox, SandboxStatus
from local_discord import Channel, Guild, Message, Person, Reply


class StepFailed(Exception):
    """What the step should have shown did not happen."""


async def run_tour(*, keep: bool = False, svg: Path | None = None) -> int:
    """The exit code: 0 if every step passed. `keep` leaves everything running until Ctrl+C.

    Whoever ends the process by SIGTERM or closes the terminal finds nothing left behind either.
    """
    tour = asyncio.create_task(_give_tour(keep, svg))
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, tour.cancel)
    try:
        return await tour
    except asyncio.CancelledError:
        if tour.cancelled() and not _is_interrupted():
            return 1
        raise


def _is_interrupted() -> bool:
    """Whether Ctrl+C has ended it, which `asyncio.run` reports by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _give_tour(keep: bool, svg: Path | None) -> int:
    transcript = Transcript()
    transcript.note("Two developers share one bot. Everything below really happens: PostgreSQL, Valkey and NATS are")
    transcript.note("real, the bot is the one you would run, and only Discord is a local one.")
    async with set_stage(transcript.progress) as stage:
        transcript.people = {person.id: person.name for person in (stage.ada, stage.bob, stage.olga)}
        tour = Tour(stage, transcript)
        passed = await tour.walk()
        transcript.summary(passed, len(tour.steps))
        if svg:
            transcript.save_svg(svg)
            transcript.note(f"The picture is in {svg}.")
        if keep:
            await _linger(stage, transcript)
    return 0 if passed == len(tour.steps) else 1


class Tour:
    """The steps build on each other: the first that fails ends the tour."""

    def __init__(self, stage: Stage, transcript: Transcript) -> None:
        self.stage, self.show = stage, transcript
        self.steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("Ada creates a sandbox and binds the server she is in", self.create_and_bind),
            ("Bob creates his own, then binds his server to it", self.create_then_bind),
            ("Each gets the environment of a worker, with credentials of its own, and starts one", self.connect),
            ("A message in Ada's server arrives in her sandbox, and only there", self.message_for_ada),
            ("The same for Bob: two sandboxes, side by side", self.message_for_bob),
            ("A server that is bound to nothing goes nowhere", self.message_for_nobody),
            ("A slash command of Bob's is forwarded to his worker, which answers it", self.foreign_command),
            ("Ada's worker leaves rows and keys behind, and she looks at the status", self.status),
            ("It tries to reach Bob's sandbox: PostgreSQL, Valkey and NATS refuse", self.break_in),
            ("Bob may not touch Ada's sandbox", self.refused),
            ("Ada extends her sandbox", self.extend),
            ("A short-lived sandbox expires: owner and admin hear of it before and after", self.expire),
            ("Nothing arrives after the expiry, and after the grace time everything is gone", self.reclaimed),
            ("Ada destroys her sandbox; schema, keys and stream are gone", self.destroy),
        ]

    async def walk(self) -> int:
        """How many steps passed."""
        for number, (title, step) in enumerate(self.steps, 1):
            self.show.step(number, title)
            try:
                await step()
            except (StepFailed, TimeoutError) as error:
                self.show.failure(str(error) or "nothing happened in time")
                return number - 1
            except Exception as error:
                logger.opt(exception=error).error("the tour failed", step=number)
                self.show.failure(f"{type(error).__name__}: {error}")
                return number - 1
        return len(self.steps)

    async def create_and_bind(self) -> None:
        here = self.stage.lab.general
        await self.types(self.stage.ada, here, "sandbox create", name="login-page", ttl="8h", bind_here=True)
        sandbox = await self.sandbox("login-page")
        self.require(sandbox.guild_ids == (self.stage.lab.id,), "the server is bound")

    async def create_then_bind(self) -> None:
        bob, general = self.stage.bob, self.stage.arcade.general
        await self.types(bob, general, "sandbox create", name="leaderboard")
        await self.types(bob, general, "sandbox bind-guild", sandbox="leaderboard")
        sandbox = await self.sandbox("leaderboard")
        self.require(sandbox.guild_ids == (self.stage.arcade.id,), "the server is bound")

    async def connect(self) -> None:
        stage = self.stage
        await self.starts_worker(stage.ada, stage.lab.general, "login-page")
        self.require("login-page" in stage.workers, "the file that is attached is all that a worker needs")
        await self.starts_worker(stage.bob, stage.arcade.general, "leaderboard", shown=False)
        self.show.note("  Bob does the same for “leaderboard”.")

    async def message_for_ada(self) -> None:
        await self.message_arrives(self.stage.ada, self.stage.lab, "login-page", "is the new login up?", "leaderboard")

    async def message_for_bob(self) -> None:
        await self.message_arrives(self.stage.bob, self.stage.arcade, "leaderboard", "who leads?", "login-page")

    async def message_for_nobody(self) -> None:
        before = {name: await worker.count() for name, worker in self.stage.workers.items()}
        self.show.says(self.stage.bob, self.stage.lobby.general, "anybody here?")
        await self.stage.bob.send(self.stage.lobby.general, "anybody here?")
        await self.fence()
        after = {name: await worker.count() for name, worker in self.stage.workers.items()}
        before["login-page"] += 1  # the fence
        self.require(after == before, "no event of it is in any stream")

    async def foreign_command(self) -> None:
        bob, worker = self.stage.bob, self.stage.workers["leaderboard"]
        self.show.says(bob, self.stage.arcade.general, "/score player:ada")
        reply = await bob.use_foreign_command("score", channel=self.stage.arcade.general, player="ada")
        event = await worker.receive("INTERACTION_CREATE")
        self.show.arrives(worker.subject_of(event), event, "leaderboard")
        self.require(
            event.data["data"]["name"] == "score", "it came first: no /sandbox command was forwarded before it"
        )
        await event.reply("ada leads with 3 points", ephemeral=True)
        await reply.wait_for(lambda reply: reply.message is not None)
        self.show.shows(_message(reply), bob.name)
        self.require("leads" in _message(reply).content, "it took the interaction's id and token, not the bot's token")

    async def status(self) -> None:
        worker = self.stage.workers["login-page"].kit
        add_lab = "INSERT INTO communities (guild_id, name) VALUES ($1, 'Ada''s Lab')"
        await worker.pg.execute(add_lab, Decimal(self.stage.lab.id))
        await worker.redis.set("greeting", "hello")
        reply = await self.types(self.stage.ada, None, "sandbox status", sandbox="login-page")
        text = json.dumps(_message(reply).embeds)
        self.require("1 row," in text and "1 key" in text, "each store was really asked")

    async def break_in(self) -> None:
        burglar, victim = self.stage.workers["login-page"].kit.environment, self.stage.workers["leaderboard"].sandbox
        for attempt in ATTEMPTS:
            tried, answer = await attempt(burglar, victim)
            self.show.note(f"  {tried}")
            self.require(answer is not None, f"refused: {answer}")

    async def refused(self) -> None:
        reply = await self.types(self.stage.bob, self.stage.arcade.general, "sandbox destroy", sandbox="login-page")
        self.require("SANDBOX_009" in json.dumps(_message(reply).embeds), "a refusal is a sentence and a code")
        self.require((await self.sandbox("login-page")).status is SandboxStatus.RUNNING, "it still runs")

    async def extend(self) -> None:
        before = await self.sandbox("login-page")
        await self.types(self.stage.ada, self.stage.lab.general, "sandbox extend", sandbox="login-page", by="16h")
        moved = (await self.sandbox("login-page")).expires_at - before.expires_at
        self.require(format_duration(moved) == "16h", "the expiry is 16 hours later")

    async def expire(self) -> None:
        bob, olga, attic = self.stage.bob, self.stage.olga, self.stage.attic
        await self.types(bob, attic.general, "sandbox create", name="try-out", ttl="4s", bind_here=True)
        await self.starts_worker(bob, attic.general, "try-out", shown=False)
        await self.message_arrives(bob, attic, "try-out", "quick, before it expires", "login-page")
        for wanted in ("about to expire", "has expired"):
            for person in (bob, olga):
                message = await person.wait_for_dm(partial(_is_titled, wanted), timeout=10)
                self.show.shows(message, f"{person.name}, direct message")
        self.require(len(bob.inbox) == len(olga.inbox) == 2, "each came once, with a button that extends")

    async def reclaimed(self) -> None:
        sandbox = await self.sandbox("try-out")
        worker = self.stage.workers.pop("try-out")
        before = await worker.count()
        self.show.says(self.stage.bob, self.stage.attic.general, "and now?")
        await self.stage.bob.send(self.stage.attic.general, "and now?")
        await self.fence()
        self.require(await worker.count() == before, "a message after the expiry is not in the stream")
        self.show.note(f"  the grace time of the tour is {format_duration(GRACE)} …")
        async with asyncio.timeout(15):
            while await self.lives(sandbox):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await self.require_gone(sandbox)

    async def destroy(self) -> None:
        ada, sandbox = self.stage.ada, await self.sandbox("login-page")
        reply = await self.types(ada, self.stage.lab.general, "sandbox destroy", sandbox="login-page")
        self.show.says(ada, self.stage.lab.general, "presses “Destroy”")
        question = _message(reply)
        pressed = await ada.click(question, "Destroy")
        await pressed.wait_for(lambda _: "is destroyed" in _title(question), timeout=10)
        self.show.shows(question, ada.name)
        await self.require_gone(sandbox)

    async def types(self, person: Person, channel: Channel | None, command: str, **options: object) -> Reply:
        """Somebody uses a slash command and sees the answer."""
        typed = " ".join(f"{name}:{str(value).lower()}" for name, value in options.items())
        self.show.says(person, channel, f"/{command} {typed}".strip())
        reply = await person.command(command, channel=channel, **options)
        if reply.message is None:
            raise StepFailed("the bot did not answer")
        self.show.shows(reply.message, person.name)
        return reply

    async def starts_worker(self, person: Person, channel: Channel, name: str, *, shown: bool = True) -> None:
        """With the file that `/sandbox connect` attaches, and nothing else."""
        if shown:
            reply = await self.types(person, channel, "sandbox connect", sandbox=name)
        else:
            reply = await person.command("sandbox connect", channel=channel, sandbox=name)
        (attachment,) = _message(reply).attachments
        await self.stage.hire(await self.sandbox(name), attachment.content.decode())

    async def message_arrives(self, person: Person, guild: Guild, name: str, text: str, other: str) -> None:
        """Somebody writes in a bound server; the event is in that sandbox's stream and in no other."""
        before = await self.stage.workers[other].count()
        self.show.says(person, guild.general, text)
        await person.send(guild.general, text)
        worker = self.stage.workers[name]
        event = await worker.receive("MESSAGE_CREATE")
        self.show.arrives(worker.subject_of(event), event, name)
        sent = [record.text for record in self.stage.discord.dispatched if record.event == "MESSAGE_CREATE"]
        self.require(event.raw.decode() == sent[-1], "byte for byte what Discord's gateway sent")
        self.require(await self.stage.workers[other].count() == before, f"nothing new in the stream of “{other}”")

    async def fence(self) -> None:
        """Returns when the bot has routed all that was sent so far."""
        worker = self.stage.workers["login-page"]
        await self.stage.ada.typing(self.stage.lab.general)
        await worker.receive("TYPING_START")

    async def sandbox(self, name: str) -> Sandbox:
        return await self.stage.app.manager.get_by_name(name)

    async def lives(self, sandbox: Sandbox) -> bool:
        return (await self.stage.app.manager.get_by_id(sandbox.id)).status is not SandboxStatus.DESTROYED

    async def require_gone(self, sandbox: Sandbox) -> None:
        """Nothing of the sandbox is left in any store."""
        stores = self.stage.app.stores
        schema = await stores.pool.fetchval("SELECT to_regnamespace($1)", sandbox.schema_name)
        self.require(schema is None, f"schema {sandbox.schema_name} is gone")
        keys = await stores.redis.keys(f"{sandbox.redis_prefix}*")
        self.require(not keys, f"keys {sandbox.redis_prefix}* are gone")
        streams = [stream.config.name for stream in await stores.nats.jetstream().streams_info()]
        self.require(sandbox.stream not in streams, f"stream {sandbox.stream} is gone")

    def require(self, condition: bool, fact: str) -> None:
        if not condition:
            raise StepFailed(f"not true: {fact}")
        self.show.fact(fact)


def _message(reply: Reply) -> Message:
    if reply.message is None:
        raise StepFailed("the bot did not answer")
    return reply.message


def _is_titled(wanted: str, message: Message) -> bool:
    return wanted in _title(message)


def _title(message: Message) -> str:
    return str(message.embeds[0].get("title", "")) if message.embeds else ""


async def _linger(stage: Stage, transcript: Transcript) -> None:
    """Says how to look around, and waits for Ctrl+C."""
    addresses, worker = stage.app.stores.addresses, stage.workers["leaderboard"]
    transcript.note("")
    transcript.note("Everything goes on running. Look around from another terminal:")
    transcript.note(f"  psql '{addresses.postgres}' -c 'TABLE sandbox_overview'")
    transcript.note(f"  redis-cli -u '{addresses.redis}' --scan --pattern 'sandbox:*'")
    transcript.note(f"  nats --server '{addresses.nats}' stream view {worker.sandbox.stream}")
    transcript.note(f"  the local Discord answers at {stage.discord.api_base}")
    transcript.note("Ctrl+C ends it and leaves nothing behind.")
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
