"""The steps of the tour: what somebody does, and what has to be true then."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import aiohttp

from bot.demo.bots import IN_DISCORD_JS, IN_DISCORD_PY, has_discord_js
from bot.demo.break_in import ATTEMPTS
from bot.demo.scenario import GRACE
from bot.demo.walk import Walk, is_titled, message_of, title_of
from bot.durations import format_duration
from bot.sandboxes.model import SandboxStatus
from local_discord import Guild


class Steps(Walk):
    """They build on each other, and are shown under their docstrings. A step raises `StepFailed` or `TimeoutError`."""

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
            self.own_bots,
            self.own_command,
            self.own_bots_refused,
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
        """Each gets the environment and the credentials of a worker, and starts one."""
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
        self.transcript.shows(message_of(reply), bob.name)
        self.check("leads" in message_of(reply).content, "it took the interaction's id and token, not the bot's token")

    async def own_bots(self) -> None:
        """Each starts an ordinary bot, with token and address of the same file."""
        await self.start_own_bot("login-page", self.scenario.lab, IN_DISCORD_PY)
        if await has_discord_js():
            await self.start_own_bot("leaderboard", self.scenario.arcade, IN_DISCORD_JS)
        else:
            self.transcript.note("  Bob's would be in discord.js, which is not here: he takes the same.")
            await self.start_own_bot("leaderboard", self.scenario.arcade, IN_DISCORD_PY, shown=False)
        token = self.scenario.discord.token
        told = [value for environment in self.scenario.environments.values() for value in environment.values()]
        self.check(token not in told, "both are one application's, and neither has seen its token")

    async def start_own_bot(self, name: str, guild: Guild, program: Path, *, shown: bool = True) -> None:
        """Until it has posted a message."""
        if shown:
            self.transcript.code(program)
        await self.scenario.start_bot(name, program)
        message = await self.wait_formessage_of(guild, f"at home in {guild.name}")
        self.transcript.shows(message, guild.name, sender=program.name)

    async def own_command(self) -> None:
        """Ada uses a command that her bot has registered; it is in her server alone."""
        ada, lab = self.scenario.ada, self.scenario.lab
        reply = await self.use_command(ada, lab.general, "hello", sender=IN_DISCORD_PY.name)
        self.check(message_of(reply).content == "hello ada", "her bot has answered it")
        names = {command["name"] for command in self.scenario.discord.commands}
        self.check("hello" not in names, "the application's own commands are as they were")

    async def own_bots_refused(self) -> None:
        """Neither bot's token opens anything of the other's."""
        await self.check_refused("login-page", self.scenario.arcade)
        await self.check_refused("leaderboard", self.scenario.lab)

    async def check_refused(self, name: str, other: Guild) -> None:
        """The sandbox's bot posts in a channel of that server."""
        environment, channel = self.scenario.environments[name], other.general
        url = f"{environment['SANDBOX_BOT_API']}/channels/{channel.id}/messages"
        headers = {"Authorization": f"Bot {environment['SANDBOX_BOT_TOKEN']}"}
        self.transcript.note(f"  “{name}”: POST /channels/{channel.id}/messages")
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(url, json={"content": "hello?"}) as response,
        ):
            answer = await response.json()
        self.check(response.status == 403, f"403: {answer['message']}")

    async def status(self) -> None:
        """Ada's worker leaves rows and keys behind, and she looks at the status."""
        worker = self.scenario.workers["login-page"].kit
        add_lab = "INSERT INTO communities (guild_id, name) VALUES ($1, 'Ada''s Lab')"
        await worker.pg.execute(add_lab, Decimal(self.scenario.lab.id))
        await worker.pg.execute("ANALYZE communities")  # so that the estimate is right at once
        await worker.redis.set("greeting", "hello")
        reply = await self.use_command(self.scenario.ada, None, "sandbox status", sandbox="login-page")
        text = json.dumps(message_of(reply).embeds)
        self.check("~1 row," in text and "1 key" in text, "each store was really asked")

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
        self.check("SANDBOX_004" in json.dumps(message_of(reply).embeds), "a refusal is a sentence and a code")
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
                message = await person.wait_for_dm(partial(is_titled, wanted), timeout=10)
                self.transcript.shows(message, f"{person.name}, direct message")
        self.check(len(bob.inbox) == len(olga.inbox) == 2, "each came once, with a button that extends")

    async def reclaimed(self) -> None:
        """Nothing arrives after the expiry; after the grace time all of it is gone."""
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
        """Ada stops her bot and destroys her sandbox; all that it had is gone."""
        await self.scenario.end_bots()  # told that its token is no more, discord.py would end in a traceback
        ada, sandbox = self.scenario.ada, await self.sandbox("login-page")
        reply = await self.use_command(ada, self.scenario.lab.general, "sandbox destroy", sandbox="login-page")
        self.transcript.says(ada, self.scenario.lab.general, "presses “Destroy”")
        question = message_of(reply)
        pressed = await ada.click(question, "Destroy")
        await pressed.wait_for(lambda _: "is destroyed" in title_of(question), timeout=10)
        self.transcript.shows(question, ada.name)
        await self.check_gone(sandbox)
