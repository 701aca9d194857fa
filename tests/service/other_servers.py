"""Servers of one's own, of other makes than the embedded ones: for tests of what stands in docs/environments.md."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis.asyncio

from bot.stores.embedded.programs import valkey_program
from tests.cluster.server import LOOPBACK, Server, free_ports
from tests.cluster.servers import WITH_TLS

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer is installed (apt: pgbouncer)")
needs_debians_postgres = pytest.mark.skipif(WITH_TLS.postgres is None, reason="no PostgreSQL is installed (apt)")

_PGBOUNCER = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = {listen}
listen_port = {own}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = 40
"""


@asynccontextmanager
async def pgbouncer(folder: Path, dsn: str, mode: str):
    """The address of the same database by a PgBouncer."""
    parts, (own,) = urlsplit(dsn), free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users").write_text(f'"{parts.username}" "{parts.password}"\n')
    config = folder / "pgbouncer.ini"
    config.write_text(
        _PGBOUNCER.format(host=parts.hostname, port=parts.port, listen=LOOPBACK, own=own, folder=folder, mode=mode)
    )
    async with running(Server("pgbouncer", own, [str(PGBOUNCER), str(config)], folder, lambda: is_listening(own))):
        yield parts._replace(netloc=f"{parts.username}:{parts.password}@{LOOPBACK}:{own}").geturl()


@asynccontextmanager
async def valkey(folder: Path, *options: str, program: str | None = None):
    """The address of a Valkey or Redis, with a password."""
    password, (port,) = secrets.token_hex(16), free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "valkey.conf"  # a Sentinel writes into it
    config.write_text(f"bind {LOOPBACK}\nport {port}\ndir {folder}\nrequirepass {password}\n")
    argv = [program or valkey_program(), str(config), *options]
    url = f"redis://default:{password}@{LOOPBACK}:{port}/0"

    async def is_ready():
        async with redis.asyncio.from_url(url) as client:
            await client.ping()

    async with running(Server("valkey", port, argv, folder, is_ready)):
        yield url


@asynccontextmanager
async def running(server: Server):
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


async def is_listening(port: int) -> None:
    _, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.close()


def backwards(url: str) -> str:
    """The same address with its hosts in the other order."""
    login, _, rest = url.partition("@")
    hosts, _, database = rest.partition("/")
    return f"{login}@{','.join(reversed(hosts.split(',')))}/{database}"
