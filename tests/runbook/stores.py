"""One server of each kind, as an operator has them: their passwords change, and they are stopped and started."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import redis.asyncio

from bot.stores.embedded.programs import Programs
from tests.cluster.nats_servers import NatsCluster
from tests.cluster.postgres_servers import ROLE, PostgresPair
from tests.cluster.server import Server, run
from tests.cluster.valkey_servers import ValkeyGroup


class Stores:
    """The first server of each cluster's pieces; there are no others. NATS is reached by TLS."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self._folder = folder
        self.postgres = PostgresPair(folder / "postgres")
        self.valkey = ValkeyGroup(folder / "valkey")
        self.nats = NatsCluster(folder / "nats", count=1, certificates=certificates)
        self.database_url = ""

    @property
    def nats_folder(self) -> Path:
        """With all that NATS stores."""
        return self._folder / "nats" / "nats-1"

    @property
    def nats_server(self) -> Server:
        return self.nats.servers["nats-1"]

    @property
    def variables(self) -> dict[str, str]:
        """Of a bot."""
        stores = {"DATABASE_URL": self.database_url, "REDIS_URL": self.valkey.url("valkey-1")}
        return self.nats.environment | stores

    async def change_passwords(self) -> None:
        """Of PostgreSQL and Redis, which go on."""
        password = secrets.token_hex(16)
        connection = await asyncpg.connect(self.postgres.superuser_url("postgres-1"))
        await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        await connection.close()
        self.database_url = self.database_url.replace(str(urlsplit(self.database_url).password), password)
        async with redis.asyncio.from_url(self.valkey.url("valkey-1")) as client:
            self.valkey.password = secrets.token_hex(16)
            await client.config_set("requirepass", self.valkey.password)

    async def last_change(self) -> str:
        """What Redis knows as PostgreSQL's last one."""
        async with redis.asyncio.from_url(self.valkey.url("valkey-1")) as client:
            return repr(await client.mget(await client.keys("sandbox-bot:last-change:*")))

    async def back_up(self, folder: Path) -> None:
        """PostgreSQL whole, while it runs."""
        program = Programs().find_postgres("pg_basebackup")
        source = self.postgres.superuser_url("postgres-1")
        await run([program, "-D", str(folder), "-d", source, "-X", "stream", "-c", "fast", "--no-sync"])

    async def restore(self, folder: Path) -> None:
        """That backup in the place of what there is; Redis and NATS stay as they are."""
        server, data = self.postgres.servers["postgres-1"], self._folder / "postgres" / "postgres-1"
        await server.stop()
        await asyncio.to_thread(shutil.rmtree, data)
        await asyncio.to_thread(shutil.move, folder, data)
        await server.start()


@asynccontextmanager
async def open_stores(folder: Path, certificates: Path) -> AsyncIterator[Stores]:
    stores = Stores(folder, certificates)
    async with AsyncExitStack() as stack:
        for part in (stores.postgres, stores.valkey, stores.nats):
            await stack.enter_async_context(part)
        stores.database_url = stores.postgres.url("postgres-1")
        await asyncio.gather(
            stores.postgres.servers["postgres-2"].kill(),
            stores.valkey.servers["sentinel-1"].kill(),
            stores.valkey.servers["valkey-2"].kill(),
        )
        yield stores
