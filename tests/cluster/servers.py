"""Everything that a bot needs, and more than one of each: NATS, PostgreSQL, and Valkey with its Sentinels.

async with Cluster(folder) as cluster:
    cluster.nats.url(); cluster.postgres.url(); cluster.valkey.sentinels
    await cluster.servers["nats-2"].kill()       # start() again; freeze(), resume()
    await cluster.postgres.promote(); await cluster.postgres.follow("postgres-1")
    await cluster.valkey.fail_over()
"""

from __future__ import annotations

import shutil
import ssl
from asyncio import TaskGroup
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from bot.certificates import write_certificates
from bot.stores.embedded.programs import Programs
from tests.cluster.nats_servers import NatsCluster
from tests.cluster.postgres_servers import PostgresPair
from tests.cluster.server import LOOPBACK, Server
from tests.cluster.valkey_servers import ValkeyGroup

_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
_REDIS = shutil.which("redis-server")
WITH_TLS = Programs(
    postgres=_POSTGRES[-1].parent if _POSTGRES else None,
    valkey=Path(_REDIS) if _REDIS else None,
)
"""Those of Debian, where they are installed: the wheels' have no TLS."""
HAS_TLS = WITH_TLS.postgres is not None and WITH_TLS.valkey is not None


class Cluster:
    """`async with` starts all of it at the same time, and in the end kills it. With `tls`, which takes `HAS_TLS`,
    everything is reached by TLS alone, with `nats_tls` NATS, for which every machine has what it takes; `certificates`
    is the folder that `sandbox-bot certificates` would make."""

    def __init__(self, folder: Path, *, tls: bool = False, nats_tls: bool = False, sentinels: int = 1) -> None:
        assert HAS_TLS or not tls, "TLS needs Debian's servers: apt-get install postgresql redis-server"
        self.certificates = folder / "certificates" if tls or nats_tls else None
        if self.certificates is not None:
            write_certificates(self.certificates, [LOOPBACK, "localhost"])
        programs, of_others = (WITH_TLS, self.certificates) if tls else (Programs(), None)
        self.nats = NatsCluster(folder / "nats", certificates=self.certificates)
        self.postgres = PostgresPair(folder / "postgres", programs=programs, certificates=of_others)
        self.valkey = ValkeyGroup(folder / "valkey", sentinels=sentinels, programs=programs, certificates=of_others)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._stack:
            async with TaskGroup() as group:
                for part in (self.nats, self.postgres, self.valkey):
                    group.create_task(self._stack.enter_async_context(part))
            self._running = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a bot on all of it."""
        trusts = {} if self.certificates is None else {"BOT_TLS__CA": str(self.certificates / "ca.pem")}
        stores = {"DATABASE_URL": self.postgres.url(), "REDIS_URL": self.valkey.sentinel_url()}
        return {**self.nats.environment, **stores, **trusts}

    @property
    def client_tls(self) -> ssl.SSLContext | None:
        """For clients of NATS, PostgreSQL and Valkey alike."""
        if self.certificates is None:
            return None
        return ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))

    @property
    def servers(self) -> Mapping[str, Server]:
        """All, by name: `nats-1` to `nats-3`, `postgres-1` and `-2`, `valkey-1` and `-2`, `sentinel-1` and so on."""
        return {**self.nats.servers, **self.postgres.servers, **self.valkey.servers}
