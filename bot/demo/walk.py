"""What the steps of the tour are made of: what people do, and what is checked."""

from __future__ import annotations

import asyncio

from bot.demo.scenario import Scenario
from bot.demo.transcript import Transcript
from bot.sandboxes.model import Sandbox, SandboxStatus
from bot.stores.redis import RedisStore
from local_discord import Channel, Guild, Message, Person, Reply


class StepFailed(Exception):
    """What the step should have shown did not happen."""


class Walk:
    """Acts for the people of the scenario, and shows it."""

    def __init__(self, scenario: Scenario, transcript: Transcript) -> None:
        self.scenario, self.transcript = scenario, transcript

    async def use_command(
        self, person: Person, channel: Channel | None, command: str, *, sender: str = "sandbox-bot", **options: object
    ) -> Reply:
        """Somebody uses a slash command and sees the answer, `sender`'s."""
        typed = " ".join(f"{name}:{str(value).lower()}" for name, value in options.items())
        self.transcript.says(person, channel, f"/{command} {typed}".strip())
        reply = await person.command(command, channel=channel, **options)
        if reply.message is None:
            raise StepFailed("the bot did not answer")
        self.transcript.shows(reply.message, person.name, sender)
        return reply

    async def connect_worker(self, person: Person, channel: Channel, name: str, *, shown: bool = True) -> None:
        """With the file that `/sandbox connect` attaches, and nothing else."""
        if shown:
            reply = await self.use_command(person, channel, "sandbox connect", sandbox=name)
        else:
            reply = await person.command("sandbox connect", channel=channel, sandbox=name)
        (attachment,) = message_of(reply).attachments
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

    async def wait_formessage_of(self, guild: Guild, content: str) -> Message:
        """Somebody's in the general channel of a server, within the time that a bot takes to start."""
        async with asyncio.timeout(30):
            while True:
                for message in list(guild.general.messages.values()):
                    if message.content == content:
                        return message
                await asyncio.sleep(0.05)

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
        keys = await RedisStore(stores.redis).count_keys(sandbox.id, database=sandbox.redis_database)
        where = f"in database {sandbox.redis_database}" if sandbox.redis_database else f"{sandbox.redis_prefix}*"
        self.check(not keys, f"keys {where} are gone")
        streams = [stream.config.name for stream in await stores.nats.jetstream().streams_info()]
        self.check(sandbox.stream not in streams, f"stream {sandbox.stream} is gone")

    def check(self, condition: bool, fact: str) -> None:
        """Shows the fact, or fails the step."""
        if not condition:
            raise StepFailed(f"not true: {fact}")
        self.transcript.fact(fact)


def message_of(reply: Reply) -> Message:
    """The bot's answer; `StepFailed` if there is none."""
    if reply.message is None:
        raise StepFailed("the bot did not answer")
    return reply.message


def is_titled(wanted: str, message: Message) -> bool:
    """Whether its title has that in it."""
    return wanted in title_of(message)


def title_of(message: Message) -> str:
    """Of its embed; empty if there is none."""
    return str(message.embeds[0].get("title", "")) if message.embeds else ""
