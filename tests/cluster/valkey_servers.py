"""A Valkey or Redis with a replica, and Sentinels that fail it over."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from pathlib import Path
from typing import Any, Self

import redis.asyncio
from redis.asyncio.sentinel import Sentinel

from bot.stores.embedded.programs import Programs
from tests.cluster.server import LOOPBACK, Server, free_ports

GROUP = "sandboxes"
"""What the Sentinels call the master and its replica."""
_SERVER = """
dir {folder}
requirepass {password}
masterauth {password}
appendonly yes
appendfsync no
save ""
databases 1000
notify-keyspace-events KEA
repl-diskless-sync-delay 0
"""
_SENTINEL = """
dir {folder}
sentinel monitor {group} {host} {port} {quorum}
sentinel auth-pass {group} {password}
sentinel down-after-milliseconds {group} {down_ms}
sentinel failover-timeout {group} 5000
"""


class ValkeyGroup:
    """`async with` starts `valkey-1`, the master, `valkey-2`, its replica, and `sentinel-1` …, most of which have to
    agree on a failover. With `certificates`, `programs` have to name a server that has TLS."""

    def __init__(
        self,
        folder: Path,
        *,
        sentinels: int = 1,
        down_ms: int = 1000,
        programs: Programs | None = None,
        certificates: Path | None = None,
    ) -> None:
        """`down_ms`: how long the master may be silent before the Sentinels take it for dead."""
        self._folder, self._certificates, self._down_ms = folder, certificates, down_ms
        self._program = (programs or Programs()).find("redis")
        self._sentinels = [f"sentinel-{number}" for number in range(1, sentinels + 1)]
        self.password = secrets.token_hex(16)
        names = ["valkey-1", "valkey-2", *self._sentinels]
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.servers = {name: self._server(name) for name in names}

    async def __aenter__(self) -> Self:
        for name in self.servers:
            (self._folder / name).mkdir(parents=True, exist_ok=True)
            (self._folder / f"{name}.conf").write_text(self._configure(name))
        try:
            await asyncio.gather(*(self.servers[name].start() for name in ("valkey-1", "valkey-2")))
            async with asyncio.timeout(30):
                while not await self._has_replica("valkey-1"):  # or else the Sentinels ask ten seconds later for one
                    await asyncio.sleep(0.05)
            await asyncio.gather(*(self.servers[name].start() for name in self._sentinels))
            await self.until_whole()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(server.kill() for server in self.servers.values()))

    def url(self, name: str, database: int = 0) -> str:
        """That server alone, as its user `default`."""
        return f"{self._scheme}://default:{self.password}@{LOOPBACK}:{self._ports[name]}/{database}"

    def sentinel_url(self, database: int = 0) -> str:
        """Whichever is the master, by all Sentinels."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.sentinels)
        return f"{self._scheme}+sentinel://default:{self.password}@{hosts}/{GROUP}/{database}"

    @property
    def sentinels(self) -> list[tuple[str, int]]:
        """Host and port of each."""
        return [(LOOPBACK, self._ports[name]) for name in self._sentinels]

    async def master(self) -> str:
        """The name of the one that the Sentinels hand out."""
        async with self._to_sentinels() as sentinel:
            _, port = await sentinel.discover_master(GROUP)
        return next(name for name, its in self._ports.items() if its == port)

    async def fail_over(self) -> str:
        """As an administrator orders it, with both alive; the name of the new master once it is one."""
        before = await self.master()
        async with self._to_sentinels() as sentinel:
            await sentinel.sentinels[0].execute_command("SENTINEL", "FAILOVER", GROUP)
        return await self.until_master_is_not(before)

    async def until_master_is_not(self, before: str) -> str:
        """Return with the name of the new one when it takes writes."""
        async with asyncio.timeout(20):
            while not (now := await self._other_master(before)):
                await asyncio.sleep(0.02)
            return now

    async def until_whole(self) -> None:
        """Return when the Sentinels know each other and a replica that has all of the master's data."""
        async with asyncio.timeout(30):
            while not await self._is_whole():
                await asyncio.sleep(0.05)

    async def _other_master(self, before: str) -> str | None:
        try:
            if (name := await self.master()) == before:
                return None
            return name if (await self._info(name, "replication"))["role"] == "master" else None
        except (redis.RedisError, OSError):
            return None

    async def _is_whole(self) -> bool:
        try:
            async with self._to_sentinels() as sentinel:
                (state,) = (await sentinel.sentinels[0].sentinel_masters()).values()
            if state["num-other-sentinels"] != len(self._sentinels) - 1 or state["num-slaves"] != 1:
                return False
            return await self._has_replica(await self.master())
        except (redis.RedisError, OSError):
            return False

    async def _has_replica(self, master: str) -> bool:
        replica = (await self._info(master, "replication")).get("slave0")
        return replica is not None and replica["state"] == "online"

    async def _info(self, name: str, section: str) -> dict[str, Any]:
        async with self._client(name) as client:
            return dict(await client.info(section))

    def _server(self, name: str) -> Server:
        argv = [self._program, str(self._folder / f"{name}.conf"), *(["--sentinel"] if "sentinel" in name else [])]
        return Server(name, self._ports[name], argv, self._folder, partial(self._is_ready, name))

    async def _is_ready(self, name: str) -> None:
        async with self._client(name) as client:
            await client.ping()

    def _client(self, name: str) -> redis.asyncio.Redis:
        password = None if "sentinel" in name else self.password
        return redis.asyncio.Redis(port=self._ports[name], password=password, socket_timeout=1, **self._client_tls())

    def _to_sentinels(self) -> _Sentinels:
        return _Sentinels(self.sentinels, {"socket_timeout": 1, "retry": None, **self._client_tls()})

    def _configure(self, name: str) -> str:
        values = {"folder": self._folder / name, "password": self.password, "host": LOOPBACK, "group": GROUP}
        values |= {"port": self._ports["valkey-1"], "down_ms": self._down_ms, "quorum": len(self._sentinels) // 2 + 1}
        text = f"bind {LOOPBACK}\n{self._configure_port(name)}"
        if "sentinel" in name:
            return text + _SENTINEL.format(**values)
        replica = f"replicaof {LOOPBACK} {self._ports['valkey-1']}\n" if name == "valkey-2" else ""
        return text + _SERVER.format(**values) + replica

    def _configure_port(self, name: str) -> str:
        if self._certificates is None:
            return f"port {self._ports[name]}\n"
        pem, key, ca = (self._certificates / file for file in ("redis.pem", "redis.key", "ca.pem"))
        files = f"tls-cert-file {pem}\ntls-key-file {key}\ntls-ca-cert-file {ca}\n"
        return f"port 0\ntls-port {self._ports[name]}\ntls-auth-clients no\ntls-replication yes\n{files}"

    def _client_tls(self) -> dict[str, Any]:
        return {} if self._certificates is None else {"ssl": True, "ssl_ca_certs": str(self._certificates / "ca.pem")}

    @property
    def _scheme(self) -> str:
        return "redis" if self._certificates is None else "rediss"


class _Sentinels:
    """A client that is closed in the end; redis-py's own has no such thing."""

    def __init__(self, addresses: list[tuple[str, int]], options: dict[str, Any]) -> None:
        self._sentinel = Sentinel(addresses, sentinel_kwargs=options)

    async def __aenter__(self) -> Sentinel:
        return self._sentinel

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(client.aclose() for client in self._sentinel.sentinels))
