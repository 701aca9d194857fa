"""`sandbox-bot discord`: a local Discord by itself, and a command that takes it for Discord."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.local.world_building import UnknownReference, build_world
from bot.local.world_description import describe_world
from bot.local.world_file import WrongWorld, read_world, save_world
from bot.local.world_model import small_world
from local_discord import LocalDiscord
from sandbox_worker.errors import CommandNotFound
from sandbox_worker.run.authority import make_authority
from sandbox_worker.run.forwarder import Forwarder, Origin
from sandbox_worker.run.hooking import find_program, hooked
from sandbox_worker.run.process import start_process, wait_for
from sandbox_worker.trust import trusted_by

_KILLED_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class WorldSource:
    """The file of a world, which need not exist yet; it is written at the end unless `saves` is false."""

    path: Path | None = None
    saves: bool = True

    def require_room(self) -> None:
        """`WrongWorld` where nothing could be written: it would be a pity to hear of that at the end."""
        if self.path is not None and self.saves:
            folder = self.path.absolute().parent
            if not (folder.is_dir() and os.access(folder, os.W_OK)):
                raise WrongWorld(f"{self.path}: no file can be written in {folder}")


@asynccontextmanager
async def open_local_discord(source: WorldSource, port: int = 0) -> AsyncIterator[LocalDiscord]:
    """Serves with that world until the block is left. `WrongWorld` for a file that is none, `OSError` for a port that
    is taken and a file that cannot be read or written."""
    path = source.path
    source.require_room()
    world = read_world(path) if path is not None and path.exists() else small_world()
    discord = LocalDiscord(port=port, token=world.bot.token, application_id=world.bot.id)
    discord.settings.compresses = True
    try:
        build_world(world, discord)
    except UnknownReference as error:
        raise WrongWorld(f"{path}: {error}") from None
    async with discord:
        try:
            yield discord
        finally:
            if path is not None and source.saves:
                save_world(path, describe_world(discord))


def stop_by_signal() -> asyncio.Event:
    """Set by SIGINT and SIGTERM from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing for one that has ended by itself."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _KILLED_AFTER_S)
        except TimeoutError:
            process.kill()


async def run_against(discord: LocalDiscord, command: Sequence[str], token_variables: Sequence[str]) -> int:
    """The command's exit code. In it, and in all Python and Node that it starts, discord.com is this Discord; signals
    are passed on. `CommandNotFound` if it is none."""
    program = find_program(command, os.environ)
    if program is None:
        raise CommandNotFound(command[0])
    authority = make_authority()
    forwarder = Forwarder(Origin.of(discord.api_base), Origin.of(discord.gateway_url), trusted_by(""))
    server = await forwarder.listen(authority.tls)
    host, port = server.sockets[0].getsockname()
    led = hooked(os.environ, token_variables, f"{host}:{port}", authority.certificate)
    # This token opens nothing else: a program that loads no hooks may have it too.
    environ = {**led, **discord.environment, **dict.fromkeys(token_variables, discord.token)}
    try:
        process = await start_process(*command, executable=str(program), environ=environ)
        try:
            return await wait_for(process)
        finally:
            await _end(process)
    except OSError as error:
        raise CommandNotFound(command[0], error.strerror or "") from error
    finally:
        server.close()  # what the command has left running is not waited for
