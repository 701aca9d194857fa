"""The bot as it is run, counting what JetStream has acknowledged."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import SecretStr

from bench import processes
from bench.meter import Meter, resident, used
from bench.processes import Json
from bot import log
from bot.app import App, open_app
from bot.sandboxes.model import Actor
from bot.settings import Discord, Nats, Postgres, Redis, Relay, Routing, Sandboxes, Settings


def settings_of(config: Json) -> Settings:
    return Settings(
        discord=Discord(
            token=SecretStr(config["token"]),
            api_base=config["api_base"],
            sync_commands=False,
            shard_count=config.get("shard_count", 0),
            shard_ids=config.get("shard_ids", []),
        ),
        postgres=Postgres(dsn=SecretStr(config["postgres"])),
        redis=Redis(url=SecretStr(config["redis"])),
        nats=Nats(
            url=SecretStr(config["nats"]),
            stream_max_messages=config.get("stream_max_messages", 1_000_000),
            stream_max_megabytes=config.get("stream_max_megabytes", 256),
            **{name: SecretStr(value) for name, value in config.get("callout", {}).items()},
        ),
        routing=Routing(window=config.get("window", 4096)),
        sandboxes=Sandboxes(max_per_owner=1000, sweep_every=timedelta(seconds=config.get("sweep_every_s", 5))),
        relay=Relay(listen="off", address="http://127.0.0.1", max_clients=100),
    )


class Tapped:
    def __init__(self, app: App) -> None:
        self._app = app

    async def bind(self, owner: int, guilds: list[int]) -> Json:
        """A sandbox for each guild; their ids."""
        actor = Actor(owner, "owner", is_admin=True)
        made = [await self._app.manager.create(actor, guild_ids=[guild]) for guild in guilds]
        return {"sandboxes": [str(sandbox.id) for sandbox in made]}

    async def fill(self, owner: int, developer: int, guilds: list[int]) -> Json:
        """A sandbox with credentials for each guild, which that developer owns and the owner has bound."""
        admin, actor = Actor(owner, "owner", is_admin=True), Actor(developer, "developer")
        for guild in guilds:
            made = await self._app.manager.create(actor)
            await self._app.manager.register_guild(admin, made.id, guild)
            await self._app.manager.issue_credentials(actor, made.id)
        return {}

    async def bind_all(self, owner: int, guilds: list[int]) -> Json:
        """One sandbox for all of them: its id, and what its own bot logs in to the relay with."""
        actor = Actor(owner, "owner", is_admin=True)
        made = await self._app.manager.create(actor, guild_ids=guilds)
        credentials = await self._app.manager.issue_credentials(actor, made.id)
        return {"sandbox": str(made.id), "token": credentials.environment["SANDBOX_BOT_TOKEN"]}

    async def live(self, owner: int, sandboxes: int) -> Json:
        """Make so many, with credentials, and end each; the memory in bytes after it."""
        actor = Actor(owner, "owner", is_admin=True)
        for _ in range(sandboxes):
            made = await self._app.manager.create(actor)
            await self._app.manager.issue_credentials(actor, made.id)
            await self._app.manager.destroy(actor, made.id)
        return {"rss": resident()}

    async def counts(self) -> Json:
        return {"router": dict(self._app.router.counts), "publisher": dict(self._app.publisher.counts)}

    def acknowledged(self) -> int:
        return self._app.publisher.counts["acked"]


async def main() -> None:
    log.configure("ERROR")
    async with open_app(settings_of(processes.config())) as app:
        tapped = Tapped(app)
        meter = Meter(tapped.acknowledged)
        running = asyncio.create_task(app.run())
        await processes.serve(
            {
                "bind": tapped.bind,
                "bind_all": tapped.bind_all,
                "live": tapped.live,
                "fill": tapped.fill,
                "used": used,
                "counts": tapped.counts,
                "expect": meter.expect,
                "measure": meter.measure,
            }
        )
        app.stop.set()
        await running


if __name__ == "__main__":
    asyncio.run(main())
