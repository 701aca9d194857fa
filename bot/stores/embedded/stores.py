"""The embedded stores as the bot uses them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from loguru import logger

from bot import constants
from bot.concurrency import raise_first
from bot.stores.embedded import append_only
from bot.stores.embedded.addresses import nats_url, redis_url, worker_url
from bot.stores.embedded.configuration import (
    CONTROL_ROLE,
    DATABASE,
    NATS_AUTH_USER,
    NATS_SYSTEM_USER,
    NATS_USER,
    PASSWORDS,
    SUPERUSER,
    Layout,
    PostgresLimits,
    configure,
)
from bot.stores.embedded.earlier_streams import move_earlier_streams
from bot.stores.embedded.errors import AppendOnlyDamaged, EmbeddedError, FolderInUse, PortTaken
from bot.stores.embedded.folder import (
    choose_ports,
    load_passwords,
    make_folder,
    read_json,
    require_folder,
    try_writing,
)
from bot.stores.embedded.lock import lock_folder
from bot.stores.embedded.postgres import forget_earlier_postgres, init_postgres, postgres_url
from bot.stores.embedded.processes import ServerProcesses, ServerState
from bot.stores.embedded.programs import Programs, Version
from bot.stores.embedded.reach import Reach, require_tls
from bot.stores.embedded.readiness import IS_READY, why_ended
from bot.stores.embedded.record import check_readable, record_versions, require_same_versions
from bot.stores.embedded.stream_indexes import drop_doubtful_indexes
from bot.stores.nats_access import Callout

NAMES = frozenset({"postgres", "redis", "nats"})


class EmbeddedStores:
    """`async with` starts the servers; leaving it stops them. `EmbeddedError` says what to do about a failure.

    The addresses hold passwords. They stay the same over restarts, as long as their ports stay free. With `share`,
    servers that another process keeps in the folder are used and left alone. Where no process keeps them they are
    started, unless they would take over data of other servers; and without a folder of a bot that is `FolderMissing`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        stores: frozenset[str] = NAMES,
        durable: bool = True,
        share: bool = False,
        programs: Programs | None = None,
        reach: Reach | None = None,
        limits: PostgresLimits | None = None,
        extensions: Sequence[str] = (),
    ) -> None:
        """`stores`: which to run, of `postgres`, `redis` and `nats`. Not `durable`: faster, and lost with the power.
        `reach`: for workers on other machines; None is loopback alone. `extensions` of PostgreSQL that every sandbox
        may use."""
        self._folder, self._stores, self._durable, self._share = folder.absolute(), stores, durable, share
        self._programs, self._reach = programs or Programs(), reach or Reach()
        self._limits, self._extensions = limits or PostgresLimits(), tuple(extensions)
        self._lock_fd: int | None = None
        self._processes: ServerProcesses | None = None

    async def __aenter__(self) -> Self:
        if self._share:
            require_folder(self._folder)
        try:
            make_folder(self._folder)
            make_folder(self._folder / "log")
            try:
                self._lock_fd = await lock_folder(self._folder)
            except FolderInUse:
                if not self._share:
                    raise
                self._layout = self._layout_of_other()
            else:
                await self._start(self._lock_fd)
        except OSError as error:
            await self._stop()
            raise EmbeddedError(f"The data folder {self._folder} cannot be used: {error.strerror or error}.") from error
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def is_owner(self) -> bool:
        """Whether the servers are this process's own, and not another one's that are shared."""
        return self._processes is not None

    @property
    def servers(self) -> Mapping[str, ServerState]:
        """How each server fares, by store; empty if they are another process's."""
        return self._processes.states if self._processes else {}

    @property
    def pids(self) -> dict[str, int]:
        """Of the servers that run now."""
        return {name: state.pid for name, state in self.servers.items() if state.pid is not None}

    async def watch(self) -> None:
        """Raise `GuardianEnded` when the process that supervises the servers has ended; else it goes on for ever."""
        assert self._processes is not None, "the servers are another process's"
        await self._processes.watch()

    async def restart(self) -> None:
        """Start guardian and servers again, on the same data and addresses, once all of their processes have ended.

        Returns when they answer. `EmbeddedError` if one does not; it may be called again then.
        """
        assert self._processes is not None, "the servers are another process's"
        await self._processes.kill()
        await self._run_servers(self._processes)
        logger.info("embedded stores run again", folder=str(self._folder), **self._layout.ports)

    async def end(self, store: str, *, reporting: bool = False) -> str:
        """End one server, which is started again by itself; if `reporting`, at once, on the report that it writes
        then."""
        assert self._processes is not None, "the servers are another process's"
        return await self._processes.end(store, reporting=reporting)

    async def try_writing(self, store: str) -> None:
        """`OSError` unless there is room where its data is, and it can be written to."""
        await asyncio.to_thread(try_writing, self._layout.folder / store)

    async def wait_for(self, store: str) -> None:
        """Return when it answers. `EmbeddedError` if it does not in time."""
        assert self._processes is not None, "the servers are another process's"
        self._processes.ended.discard(store)
        await self._wait_for(self._processes, store)

    def trim_log(self, store: str) -> None:
        """Keep the server's log from growing for ever, as those may have it do who run scripts in Valkey."""
        if self._processes is not None:
            self._processes.trim_log(store)

    def cpu_seconds(self, store: str) -> float | None:
        """How long the server has computed; None if that is not known."""
        return self._processes.cpu_seconds(store) if self._processes else None

    def runs(self, store: str) -> bool:
        """Whether that one is among those that were asked for."""
        return store in self._stores

    def url(self, store: str) -> str:
        """The address of `postgres` (as the bot's own role, which is no superuser), `redis` or `nats`."""
        if store == "postgres":
            return postgres_url(self._layout, CONTROL_ROLE)
        if store == "nats":
            return nats_url(self._layout, NATS_USER, store)
        return redis_url(self._layout)

    def worker_url(self, store: str) -> str:
        """The address of a store for workers on other machines, without a login."""
        return worker_url(self._layout, store)

    @property
    def nats_callout(self) -> Callout:
        """What answers the server's auth callout: users of their own, and the key that signs."""
        return Callout(
            auth_url=nats_url(self._layout, NATS_AUTH_USER, "nats-auth"),
            system_url=nats_url(self._layout, NATS_SYSTEM_USER, "nats-system"),
            account_seed=self._layout.passwords["nats-seed"],
        )

    @property
    def database_url(self) -> str:
        """`url` of PostgreSQL."""
        return self.url("postgres")

    @property
    def redis_url(self) -> str:
        """`url` of Valkey."""
        return self.url("redis")

    @property
    def nats_url(self) -> str:
        """`url` of NATS."""
        return self.url("nats")

    def superuser_url(self, database: str = DATABASE) -> str:
        """For setting things up by hand; the bot never uses it."""
        return postgres_url(self._layout, SUPERUSER, database)

    async def _start(self, lock_fd: int) -> None:
        versions = await self._find_versions()
        if self._share:
            require_same_versions(self._folder, versions)
        check_readable(self._folder, versions)
        passwords = load_passwords(self._folder, PASSWORDS)
        self._layout = Layout(
            self._folder,
            {},
            passwords,
            self._durable,
            self._programs,
            reach=self._reach,
            limits=self._limits,
            extensions=self._extensions,
        )
        if "postgres" in self._stores:
            await init_postgres(self._layout)
        if "nats" in self._stores:
            move_earlier_streams(self._folder / "nats")
            drop_doubtful_indexes(self._folder / "nats")
        for store in sorted(self._stores):
            await require_tls(self._reach, self._programs, store, self._layout.postgres_data)
        await self._run_on_free_ports(lock_fd)
        record_versions(self._folder, versions)
        logger.info("embedded stores run", folder=str(self._folder), **{name: str(versions[name]) for name in versions})

    async def _run_on_free_ports(self, lock_fd: int) -> None:
        """A port is free when it is chosen; until its server has it, any program of the machine may take it."""
        choose = partial(choose_ports, hosts=self._reach.listened) if self._reach.is_open else choose_ports
        for tries_left in reversed(range(constants.PORT_CHOICES)):
            self._layout = replace(self._layout, ports=choose(self._folder, self._stores))
            self._processes = ServerProcesses([configure(self._layout, name) for name in sorted(self._stores)], lock_fd)
            try:
                await self._run_servers(self._processes)
            except (PortTaken, AppendOnlyDamaged) as error:
                await self._processes.stop()
                if not tries_left or not (isinstance(error, PortTaken) or await self._repair_append_only()):
                    raise
            else:
                return

    async def _repair_append_only(self) -> bool:
        return await append_only.repair(self._folder / "redis", self._layout.log("redis").read_bytes(), self._programs)

    async def _find_versions(self) -> dict[str, Version]:
        """To the end of each, also if one fails: a program that is just being started still has our lock open."""
        names = sorted(self._stores)
        versions = await asyncio.gather(*map(self._programs.find_version, names), return_exceptions=True)
        raise_first(versions)
        return {name: version for name, version in zip(names, versions, strict=True) if isinstance(version, Version)}

    def _layout_of_other(self) -> Layout:
        ports = read_json(self._folder, "ports")
        if missing := self._stores - ports.keys():
            named = ", ".join(sorted(missing))
            raise EmbeddedError(f"The bot that uses {self._folder} keeps no {named} there. Try again in a moment.")
        secrets = read_json(self._folder, "secrets")
        return Layout(self._folder, ports, secrets, self._durable, self._programs, self._reach)

    async def _run_servers(self, processes: ServerProcesses) -> None:
        """Return when all of them answer. No process of an earlier start may be left."""
        forget_earlier_postgres(self._layout)
        await processes.start()
        waits = [asyncio.create_task(self._wait_for(processes, name)) for name in self._stores]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _wait_for(self, processes: ServerProcesses, name: str) -> None:
        deadline = asyncio.get_running_loop().time() + constants.SERVER_START_WITHIN_S
        log = self._layout.log(name)
        while not await IS_READY[name](self._layout):
            if name in processes.ended:
                raise why_ended(self._layout, name)
            if processes.guardian_ended:
                await processes.watch()
            if asyncio.get_running_loop().time() > deadline:
                raise EmbeddedError(f"{name} did not start in {constants.SERVER_START_WITHIN_S:.0f} s: see {log}.")
            await asyncio.sleep(constants.EMBEDDED_POLL_S)

    async def _stop(self) -> None:
        if self._processes is not None:
            await self._processes.stop()
            self._processes = None
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None
