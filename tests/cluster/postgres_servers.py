"""A primary PostgreSQL with a streaming standby."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
from pathlib import Path
from typing import Self

import asyncpg

from bot.stores.embedded.programs import Programs
from bot.stores.postgres import sql_folder
from tests.cluster.server import LOOPBACK, Server, free_ports, run

SUPERUSER, ROLE, DATABASE = "postgres", "sandbox_bot", "sandboxes"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "authentication_timeout": "3s",
    "max_locks_per_transaction": "128",
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_keep_size": "512MB",
    "timezone": "UTC",
    "wal_retrieve_retry_interval": "200ms",
}


class PostgresPair:
    """`async with` starts `postgres-1`, the primary, and `postgres-2`, its standby, with the bot's role and an empty
    database. With `certificates`, `programs` have to name a PostgreSQL that has TLS."""

    def __init__(self, folder: Path, *, programs: Programs | None = None, certificates: Path | None = None) -> None:
        self._folder, self._programs, self._certificates = folder, programs or Programs(), certificates
        self._password, self._superuser_password = secrets.token_hex(16), secrets.token_hex(16)
        self.servers = {name: self._server(name, port) for name, port in zip(_NAMES, free_ports(2), strict=True)}
        self.primary = "postgres-1"

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            await self._init()
            await self.servers[self.primary].start()
            await self._bootstrap()
            await self.follow("postgres-2")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(server.kill() for server in self.servers.values()))

    @property
    def standby(self) -> str:
        """The name of the other one."""
        return next(name for name in self.servers if name != self.primary)

    def url(self, *names: str, query: str = "") -> str:
        """Those servers, or both, as the bot's role, in its database."""
        return self._url(ROLE, self._password, names, DATABASE, query)

    def superuser_url(self, *names: str, database: str = "postgres") -> str:
        """Those servers, or both."""
        return self._url(SUPERUSER, self._superuser_password, names, database, "")

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        """From the primary, as the bot's role."""
        connection = await asyncpg.connect(self.url(self.primary))
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def synchronise(self) -> None:
        """From now on the primary says that something is written when the standby has it, too, and waits for that."""
        primary = await asyncpg.connect(self.superuser_url(self.primary))
        try:
            await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await primary.execute("SELECT pg_reload_conf()")
            async with asyncio.timeout(10):
                while not await primary.fetchval("SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication"):
                    await asyncio.sleep(0.02)
        finally:
            await primary.close()

    async def promote(self) -> None:
        """Make the standby the primary; return when it takes writes. The other one has to be down: nothing stops it
        from taking writes, too."""
        assert not self.servers[self.primary].runs, f"{self.primary} runs"
        data = self._data(self.standby)
        await run([self._programs.find_postgres("pg_ctl"), "promote", "--wait", "--silent", "-D", str(data)])
        self.primary = self.standby

    async def follow(self, name: str) -> None:
        """Make it a standby of the primary, with a copy of its data; return when it has caught up."""
        data, server = self._data(name), self.servers[name]
        await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)
        copy = [
            "-D",
            str(data),
            "-d",
            self.superuser_url(self.primary),
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
        ]
        await run([self._programs.find_postgres("pg_basebackup"), *copy])
        await server.start()
        await self.until_followed()

    async def until_followed(self) -> None:
        """Return when the standby has all that the primary has written until now."""
        primary = await asyncpg.connect(self.superuser_url(self.primary))
        try:
            written = await primary.fetchval("SELECT pg_current_wal_lsn()")
            query = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= $1"
            async with asyncio.timeout(10):
                while not await primary.fetchval(query, written):
                    await asyncio.sleep(0.02)
        finally:
            await primary.close()

    async def _init(self) -> None:
        password = self._folder / "password"
        password.write_text(self._superuser_password)
        argv = [self._programs.find_postgres("initdb"), "-D", str(self._data("postgres-1")), "-U", SUPERUSER]
        argv += [f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        await run([*argv, "--no-instructions", "--no-sync"])

    async def _bootstrap(self) -> None:
        script = ["-v", f"role={ROLE}", "-v", f"database={DATABASE}", "-f", str(sql_folder() / "bootstrap.sql")]
        argv = [self._programs.find_postgres("psql"), "-X", "-q", *script, self.superuser_url(self.primary)]
        await run(argv, {"SANDBOX_BOT_PASSWORD": self._password})

    def _server(self, name: str, port: int) -> Server:
        settings = {**_SETTINGS, "port": str(port), **self._tls()}
        argv = [self._programs.find_postgres("postgres"), "-D", str(self._data(name))]
        argv += [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]

        async def is_ready() -> None:
            await (await asyncpg.connect(self.superuser_url(name))).close()

        return Server(name, port, argv, self._folder, is_ready, stop_signal=signal.SIGINT)

    def _tls(self) -> dict[str, str]:
        if self._certificates is None:
            return {}
        certificate = self._certificates / "postgres.pem"
        return {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(certificate.with_suffix(".key"))}

    def _data(self, name: str) -> Path:
        return self._folder / name

    def _url(self, user: str, password: str, names: tuple[str, ...], database: str, query: str) -> str:
        hosts = ",".join(
            f"{LOOPBACK}:{server.port}" for name, server in self.servers.items() if name in (names or _NAMES)
        )
        return f"postgresql://{user}:{password}@{hosts}/{database}{query and f'?{query}'}"


_NAMES = ("postgres-1", "postgres-2")
