"""PostgreSQL, Redis and NATS from their wheels, in one data folder, for as long as the bot runs."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
from loguru import logger

from bot.stores.embedded_servers import (
    CONTROL_ROLE,
    DATABASE,
    NATS_AUTH_USER,
    NATS_SYSTEM_USER,
    NATS_USER,
    SUPERUSER,
    EmbeddedError,
    Layout,
    launched,
    postgres_program,
    server,
    write_private,
)
from bot.stores.folder_lock import FolderInUse, lock_folder
from bot.stores.launch import EX_NO_NAMESPACE
from bot.stores.nats_access import Callout
from bot.stores.nats_jwt import new_account_seed
from bot.stores.postgres import sql_folder

__all__ = ["EmbeddedError", "EmbeddedStores"]

NAMES = frozenset({"postgres", "redis", "nats"})
_START_WITHIN_S = 30.0
_STOP_WITHIN_S = 8.0
_POLL_S = 0.02


class EmbeddedStores:
    """`async with` starts the servers; leaving it stops them. `EmbeddedError` says what to do about a failure.

    The addresses hold passwords. They stay the same over restarts, as long as their ports stay free. With `share`,
    servers that another process keeps in the folder are used and left alone.
    """

    def __init__(
        self, folder: Path, *, stores: frozenset[str] = NAMES, durable: bool = True, share: bool = False
    ) -> None:
        self._folder, self._stores, self._durable, self._share = folder.absolute(), stores, durable, share
        self.pids: dict[str, int] = {}
        self._died: dict[str, int] = {}
        self._lock_fd: int | None = None
        self._guardian: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._make_folders()
            try:
                self._lock_fd = await lock_folder(self._folder)
            except FolderInUse:
                if not self._share:
                    raise
                self._layout = self._layout_of_other()
                return self
            self._layout = Layout(self._folder, self._choose_ports(), self._load_passwords(), self._durable)
            if "postgres" in self._stores:
                await self._init_postgres()
            await self._start()
        except OSError as error:
            await self._stop()
            raise EmbeddedError(f"The data folder {self._folder} cannot be used: {error.strerror or error}.") from error
        except BaseException:
            await self._stop()
            raise
        logger.info("embedded stores run", folder=str(self._folder), **self._layout.ports)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def url(self, store: str) -> str:
        """The address of `postgres` (as the bot's own role, which is no superuser), `redis` or `nats`."""
        if store == "postgres":
            return self._postgres_url(CONTROL_ROLE, DATABASE)
        scheme, user = ("redis", "default") if store == "redis" else ("nats", NATS_USER)
        return f"{scheme}://{user}:{self._layout.passwords[store]}@127.0.0.1:{self._layout.ports[store]}"

    @property
    def nats_callout(self) -> Callout:
        """What answers the server's auth callout: users of their own, and the key that signs."""
        port, passwords = self._layout.ports["nats"], self._layout.passwords
        return Callout(
            auth_url=f"nats://{NATS_AUTH_USER}:{passwords['nats-auth']}@127.0.0.1:{port}",
            system_url=f"nats://{NATS_SYSTEM_USER}:{passwords['nats-system']}@127.0.0.1:{port}",
            account_seed=passwords["nats-seed"],
        )

    @property
    def database_url(self) -> str:
        return self.url("postgres")

    @property
    def redis_url(self) -> str:
        return self.url("redis")

    @property
    def nats_url(self) -> str:
        return self.url("nats")

    def superuser_url(self, database: str = DATABASE) -> str:
        """For setting things up by hand; the bot never uses it."""
        return self._postgres_url(SUPERUSER, database)

    def _postgres_url(self, role: str, database: str) -> str:
        password, port = self._layout.passwords[role], self._layout.ports["postgres"]
        return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"

    def _make_folders(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / "log").mkdir(mode=0o700, exist_ok=True)

    def _layout_of_other(self) -> Layout:
        ports = self._read("ports")
        if missing := self._stores - ports.keys():
            named = ", ".join(sorted(missing))
            raise EmbeddedError(f"The bot that uses {self._folder} keeps no {named} there. Try again in a moment.")
        return Layout(self._folder, ports, self._read("secrets"), self._durable)

    def _read(self, name: str) -> dict[str, Any]:
        path = self._folder / f"{name}.json"
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return content

    def _load_passwords(self) -> dict[str, str]:
        known = self._read("secrets")
        wanted = (SUPERUSER, CONTROL_ROLE, "redis", "nats", "nats-auth", "nats-system")
        passwords = {name: known.get(name) or secrets.token_urlsafe(24) for name in wanted}
        passwords["nats-seed"] = known.get("nats-seed") or new_account_seed()
        if passwords != known:
            write_private(self._folder / "secrets.json", json.dumps(passwords))
        return passwords

    def _choose_ports(self) -> dict[str, int]:
        known = self._read("ports")
        ports = {name: _free_port(known.get(name, 0)) for name in sorted(self._stores)}
        if known != known | ports:
            write_private(self._folder / "ports.json", json.dumps(known | ports))
        return ports

    async def _init_postgres(self) -> None:
        data = self._layout.postgres_data
        if (data / "PG_VERSION").exists():
            return
        draft = data.with_name("postgres.new")  # moved when it is complete: an interrupted initdb leaves no ruin
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        password_file = write_private(self._folder / "postgres.password", self._layout.passwords[SUPERUSER])
        argv = [postgres_program("initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={password_file}"]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        argv += [] if self._durable else ["--no-sync"]
        process = await asyncio.create_subprocess_exec(
            *launched(argv, signal.SIGKILL), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        password_file.unlink()
        if process.returncode == EX_NO_NAMESPACE:
            raise EmbeddedError("PostgreSQL does not run as root here. Start the bot as another user.")
        if process.returncode != 0:
            raise EmbeddedError(f"PostgreSQL could not be set up in {data}: {_last_line(output)}")
        draft.rename(data)

    async def _start(self) -> None:
        assert self._lock_fd is not None
        servers = [server(self._layout, name) for name in sorted(self._stores)]
        self._guardian = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.stores.guardian",
            str(self._lock_fd),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(self._lock_fd,),
            start_new_session=True,
        )
        assert self._guardian.stdin is not None
        self._guardian.stdin.write(json.dumps(servers).encode() + b"\n")
        await self._guardian.stdin.drain()
        self._listener = asyncio.create_task(self._listen(self._guardian))
        ready: dict[str, Callable[[], Coroutine[Any, Any, bool]]] = {
            "postgres": self._postgres_is_ready,
            "redis": lambda: self._port_answers("redis", b"PING\r\n"),
            "nats": lambda: self._port_answers("nats", b""),
        }
        await asyncio.gather(*(self._wait_for(name, ready[name]) for name in self._stores))

    async def _listen(self, guardian: asyncio.subprocess.Process) -> None:
        assert guardian.stdout is not None
        async for line in guardian.stdout:
            event = json.loads(line)
            if "pid" in event:
                self.pids[event["name"]] = event["pid"]
            else:
                self.pids.pop(event["name"], None)
                self._died[event["name"]] = event["exit"]
                logger.warning("embedded server ended and is started again", server=event["name"], code=event["exit"])

    async def _wait_for(self, name: str, is_ready: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        deadline = asyncio.get_running_loop().time() + _START_WITHIN_S
        while not await is_ready():
            if name in self._died:
                raise EmbeddedError(f"{name} does not start: {_last_line(self._layout.log(name).read_bytes())}")
            if asyncio.get_running_loop().time() > deadline:
                raise EmbeddedError(f"{name} did not start in {_START_WITHIN_S:.0f} s: see {self._layout.log(name)}.")
            await asyncio.sleep(_POLL_S)

    async def _postgres_is_ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.superuser_url("postgres"), timeout=5)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            return False
        await connection.close()
        await self._bootstrap()
        return True

    async def _bootstrap(self) -> None:
        """As a DBA would do it on a server of one's own."""
        psql = [postgres_program("psql"), "-X", "-q", "-v", f"role={CONTROL_ROLE}", "-v", f"database={DATABASE}"]
        passwords = self._layout.passwords
        secrets = {"PGPASSWORD": passwords[SUPERUSER], "SANDBOX_BOT_PASSWORD": passwords[CONTROL_ROLE]}
        process = await asyncio.create_subprocess_exec(
            *psql,
            *("-f", str(sql_folder() / "bootstrap.sql")),
            *("-h", "127.0.0.1", "-p", str(self._layout.ports["postgres"]), "-U", SUPERUSER, "postgres"),
            env=os.environ | secrets,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, output = await process.communicate()
        if process.returncode != 0:
            raise EmbeddedError(f"PostgreSQL could not be set up in {self._layout.postgres_data}: {_last_line(output)}")

    async def _port_answers(self, name: str, question: bytes) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._layout.ports[name])
        except OSError:
            return False
        try:
            writer.write(question)
            return bool(await asyncio.wait_for(reader.readline(), 5))
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _stop(self) -> None:
        if self._guardian is not None:
            assert self._guardian.stdin is not None
            self._guardian.stdin.close()
            try:
                await asyncio.wait_for(self._guardian.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                self._guardian.kill()
                await self._guardian.wait()
            if self._listener is not None:
                await self._listener
            self._guardian = None
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None
        self.pids.clear()


def _free_port(wanted: int) -> int:
    """The wanted one if it is free, otherwise any."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EmbeddedError("There is no free port on 127.0.0.1.")


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
