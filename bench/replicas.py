"""Part m: sandboxes with one replica and with three, on three nodes of NATS: what making one takes, and their rest."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr

from bench.lifecycle import open_manager, settings_of
from bench.meter import cpu_of, memory_of
from bench.parts import Row, Size
from bot.sandboxes.model import Actor
from bot.settings import Nats
from bot.stores.embedded import EmbeddedStores
from tests.cluster.nats_servers import NatsCluster

_ADA = Actor(10**17, "ada")
_SANDBOXES, _MOST = 200, 10
_SETTLES_S = 5.0


async def replicas(stores: EmbeddedStores, size: Size) -> list[Row]:
    """As many of each kind, with credentials, one after the other."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as folder:
        async with NatsCluster(Path(folder)) as cluster:
            rows += [Row("m", "a node at rest without sandboxes", await _rest(cluster, size.latencies_s), "ms/s")]
            took = {count: await _measure(stores, cluster, count, size, rows) for count in (1, 3)}
    ratio = took[3] / took[1]
    return [*rows, Row("m", "making one, three replicas to one", ratio, "times", f"≤ {_MOST}", ratio <= _MOST)]


async def _measure(stores: EmbeddedStores, cluster: NatsCluster, count: int, size: Size, rows: list[Row]) -> float:
    """Seconds for a sandbox."""
    settings = settings_of(stores).model_copy(update={"nats": _nats(cluster, count)})
    before = _memory(cluster)
    async with open_manager(settings) as (_, manager):
        started_at = time.monotonic()
        made = [await manager.create(_ADA) for _ in range(_SANDBOXES)]
        took_s = (time.monotonic() - started_at) / _SANDBOXES
        await asyncio.sleep(_SETTLES_S)
        name = f"{_SANDBOXES} sandboxes with {count} {'replica' if count == 1 else 'replicas'}"
        rows += [
            Row("m", f"making one of {name}", took_s * 1e3, "ms"),
            Row("m", f"a node at rest with {name}", await _rest(cluster, size.latencies_s), "ms/s"),
            Row("m", f"memory of a node for each of {name}", (_memory(cluster) - before) / _SANDBOXES / 1e3, "kB"),
        ]
        for sandbox in made:
            await manager.destroy(_ADA, sandbox.id)
    return took_s


def _nats(cluster: NatsCluster, count: int) -> Nats:
    callout = cluster.callout
    return Nats(
        url=SecretStr(cluster.url()),
        auth_url=SecretStr(callout.auth_url),
        system_url=SecretStr(callout.system_url),
        account_seed=SecretStr(callout.account_seed),
        stream_replicas=count,
        stream_max_megabytes=1,
    )


async def _rest(cluster: NatsCluster, seconds: float) -> float:
    """Milliseconds of CPU in each second, of a node on average."""
    before = sum(cpu_of(server.pids[0]) for server in cluster.servers.values())
    await asyncio.sleep(seconds)
    used = sum(cpu_of(server.pids[0]) for server in cluster.servers.values()) - before
    return used / len(cluster.servers) / seconds * 1e3


def _memory(cluster: NatsCluster) -> float:
    """Bytes of a node on average."""
    return sum(memory_of(server.pids[0]) for server in cluster.servers.values()) / len(cluster.servers)
