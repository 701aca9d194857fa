"""`sandbox-bot relay` and `certificates`: what sandboxes' own bots connect to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from loguru import logger

from bot import constants
from bot.cli.runtime import EX_CONFIG, Config, exit_with_error, read_settings, run_or_exit
from bot.settings import Settings
from bot.supervisor import backoff

cli = typer.Typer()


@cli.command()
def relay(config: Config = None) -> None:
    """Serve the relay alone, beside a bot that runs; several may do so. It is started again when it fails, and clients
    wait meanwhile; SIGHUP starts it anew."""
    from bot.stores.launch import PARENT, die_with

    if sys.platform == "linux" and (parent := os.environ.pop(PARENT, None)) is not None:
        die_with(int(parent), signal.SIGTERM)
    settings = read_settings(config, need_token=True)
    listen = settings.relay_listen
    if listen == "off":
        exit_with_error("relay.listen: it is off; set an address like 127.0.0.1:8791.", EX_CONFIG)
    if listen == "systemd" or listen.startswith("fd:"):
        from bot.relay_process import serve

        run_or_exit(serve(settings))
    else:
        sys.exit(run_or_exit(_keep_serving(settings)))


@cli.command()
def certificates(
    hosts: Annotated[list[str], typer.Argument(metavar="HOST...", help="Names and addresses that clients use.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where they are written.")] = Path("certificates"),
) -> None:
    """Make an authority of your own and certificates for relay, PostgreSQL, Redis and NATS. To renew them, repeat it:
    the authority stays."""
    from bot.certificates import CertificateError, write_certificates

    try:
        written = write_certificates(folder, hosts)
    except CertificateError as error:
        exit_with_error(str(error), EX_CONFIG)
    typer.echo("\n".join(str(path) for path in written))
    typer.echo(f"Developers' machines and the bot trust {folder / 'ca.pem'}; keep {folder / 'ca.key'} to yourself.")


async def _keep_serving(settings: Settings) -> int:
    """Holds the socket, and has a process serve on it; the exit code of that if it ends by itself without a fault."""
    from bot.listening import open_socket

    listening = open_socket(settings.relay_listen, settings.relay)
    listening.set_inheritable(True)
    stop, child = asyncio.Event(), _Child(listening.fileno(), settings.relay_address)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, child.restart)
    pauses = backoff(constants.RESTART_FIRST_S, constants.RESTART_LONGEST_S)
    stopped = asyncio.create_task(stop.wait())
    while True:
        code = await child.run(stopped)
        if stopped.done() or code in (0, EX_CONFIG):
            return code
        pause = 0.0 if child.wanted_anew else next(pauses)
        logger.warning("the relay has ended and is started again", exit_code=code, pause_s=pause)
        await asyncio.wait({stopped}, timeout=pause)


class _Child:
    """The process that serves. It runs this very command on a socket that it is handed."""

    def __init__(self, fileno: int, address: str) -> None:
        self._fileno, self._address = fileno, address
        self._process: asyncio.subprocess.Process | None = None
        self.wanted_anew = False

    def restart(self) -> None:
        """Its clients are told to resume, and find the next one."""
        self.wanted_anew = True
        self._terminate()

    async def run(self, stopped: asyncio.Task[bool]) -> int:
        """Until it ends, or everything is to stop; its exit code."""
        from bot.stores.launch import PARENT

        self.wanted_anew = False
        handed = {"BOT_RELAY__LISTEN": f"fd:{self._fileno}", "BOT_RELAY__ADDRESS": self._address}
        environment = {**os.environ, **handed, PARENT: str(os.getpid())}
        arguments = [sys.executable, "-m", "bot", *sys.argv[1:]]
        self._process = await asyncio.create_subprocess_exec(*arguments, env=environment, pass_fds=(self._fileno,))
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            self._terminate()
        code = await ended
        return 1 if self.wanted_anew else code

    def _terminate(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
