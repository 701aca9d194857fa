"""compose.yaml carried out: the bot in its image, the stores beside it, all on loopback under their services' names."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from local_discord import LocalDiscord
from tests.deployment.compose import Service, read_compose
from tests.deployment.container import Container, make_stores_root
from tests.deployment.image import REPOSITORY, Image
from tests.deployment.root import Root, said_by

STARTS_WITHIN_S = 300.0
_ASK_EVERY_S = 0.5
_ENVIRONMENTS = {"postgres": {"PGDATA": "/var/lib/postgresql/18/docker"}, "valkey": {}, "nats": {}}
"""What the stores' images set."""
_ENTRYPOINTS = {"valkey": ["docker-entrypoint.sh"]}
_FOLDERS = {"valkey": "/data"}
_OWNER = "100000000000000001"
_HOSTS = "127.0.0.1 localhost bot postgres valkey nats\n"


@dataclass(frozen=True)
class Composition:
    """What runs, and the Discord that it talks to."""

    image: Image
    discord: LocalDiscord
    bot: Container
    service: Service

    def execute(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """`docker compose exec bot sandbox-bot …`."""
        return said_by(_bot_command(self.image, self.discord, self.service, *argv))

    async def until(self, *argv: str) -> str:
        """Asks until such a command ends with 0; what it says then."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            while (done := await asyncio.to_thread(self.execute, *argv)).returncode:
                assert self.bot.exit_code is None, self.bot.log
                await asyncio.sleep(_ASK_EVERY_S)
        return done.stdout

    async def environment(self, sandbox: str) -> Mapping[str, str]:
        """Of the workers of a sandbox that is made."""
        created = await asyncio.to_thread(self.execute, "sandbox", "create", sandbox, "--owner", _OWNER, "--json")
        assert created.returncode == 0, created.stdout
        shown = await asyncio.to_thread(self.execute, "sandbox", "env", sandbox, "--format", "json")
        assert shown.returncode == 0, shown.stdout
        found: dict[str, str] = json.loads(shown.stdout)
        return found


@asynccontextmanager
async def composition(image: Image, folder: Path) -> AsyncIterator[Composition]:
    """With new secrets and empty stores, until the context is left."""
    make_secrets(folder)
    composed, stores = read_compose(folder), make_stores_root(image, folder / "stores")
    for root in (image.root, stores):
        root.path("/etc/hosts").write_text(_HOSTS)
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(LocalDiscord(token="a.bot.token"))
        for name in _ENVIRONMENTS:
            service = composed.services[name]
            store = Container(name, _store_command(stores, service), folder / f"{name}.log")
            await _run(stack, store)
            await _until_healthy(store, stores, service)
        service = composed.services["bot"]
        bot = Container("bot", _bot_command(image, discord, service), folder / "bot.log")
        await _run(stack, bot)
        yield Composition(image, discord, bot, service)


def make_secrets(folder: Path) -> None:
    """As an operator does, with the command from here in the place of the image's."""
    environment = os.environ | {"SANDBOX_BOT": f"{sys.executable} -m bot", "PYTHONPATH": str(REPOSITORY)}
    script = ["sh", REPOSITORY / "deploy" / "secrets.sh"]
    subprocess.run(script, cwd=folder, env=environment, input="a.bot.token\n", text=True, check=True)


async def _run(stack: AsyncExitStack, container: Container) -> None:
    await container.start()
    stack.push_async_callback(container.stop)


def _store_command(root: Root, service: Service) -> list[str]:
    for volume in service.volumes.values():
        if not volume.exists():
            volume.mkdir(parents=True)
    argv = [*(() if "entrypoint" in service.entry else _ENTRYPOINTS[service.name]), *service.argv]
    mounts = {**service.secrets, **service.volumes}
    return root.command(argv, _ENVIRONMENTS[service.name], folder=_FOLDERS.get(service.name, "/"), mounts=mounts)


async def _until_healthy(store: Container, root: Root, service: Service) -> None:
    """By its own check where the wheels have the program for it, otherwise by its port."""
    port = int(service.entry["ports"][0].rpartition(":")[2])
    words = service.entry["healthcheck"]["test"]
    command = words[1:] if words[1] == "pg_isready" else ["bash", "-c", f": < /dev/tcp/127.0.0.1/{port}"]
    async with asyncio.timeout(STARTS_WITHIN_S):
        while (await asyncio.to_thread(said_by, root.command(command, {}))).returncode:
            assert store.exit_code is None, store.log
            await asyncio.sleep(_ASK_EVERY_S)


def _bot_command(image: Image, discord: LocalDiscord, service: Service, *argv: str) -> list[str]:
    environment = service.environment | {"BOT_DISCORD__API_BASE": discord.api_base}
    return image.command(*argv, mounts={**service.secrets, **service.volumes}, **environment)
