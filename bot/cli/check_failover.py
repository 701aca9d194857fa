"""What `check` says of stores with a standby or replicas: who is in charge, and what a failover may cost."""

from __future__ import annotations

from bot.stores.opening import Stores
from bot.stores.postgres import connected, load_queries
from bot.stores.postgres_hosts import several_hosts
from bot.stores.redis_client import SentinelAddress, list_replicas, master_of


async def check_failover(stores: Stores) -> tuple[list[str], list[str]]:
    """Facts and warnings; none of servers that are alone."""
    of_postgres, of_redis = await _check_postgres(stores), await _check_redis(stores)
    return of_postgres[0] + of_redis[0], of_postgres[1] + of_redis[1]


async def _check_postgres(stores: Stores) -> tuple[list[str], list[str]]:
    hosts = several_hosts(stores.addresses.postgres)
    if not hosts:
        return [], []
    async with connected(stores.pool) as connection:
        found = await connection.fetchrow(load_queries("failover")["primary"])
    assert found is not None
    lost = (
        "PostgreSQL: synchronous_standby_names is empty: what was committed last is lost with the primary, also what "
        "somebody was told of. Name the standby there."
    )
    return [f"PostgreSQL has {len(hosts)} hosts; {found['server']} takes the writes."], (
        [lost] if found["is_asynchronous"] else []
    )


async def _check_redis(stores: Stores) -> tuple[list[str], list[str]]:
    sentinels = SentinelAddress.parse(stores.addresses.redis)
    if sentinels is None:
        return [], []
    replicas = await list_replicas(stores.redis)
    host, port = master_of(stores.redis)
    fact = f"The Sentinels' master {sentinels.name} is {host} port {port}, with {len(replicas)} replica(s)."
    return [fact], [] if replicas else [f"{sentinels.name}: no replica is up that could take the master's place."]
