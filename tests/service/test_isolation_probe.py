"""Isolation as `check` finds it out: beside bots, and without standing in their way."""

from __future__ import annotations

import nats

from bot.cli.check.surroundings import open_surroundings
from bot.settings import Settings
from bot.stores.nats_access import NatsAccess
from bot.stores.nats_jwt import Issuer
from bot.stores.opening import open_stores
from bot.supervisor import Supervisor
from tests.conftest import store_settings
from tests.service.conftest import ADA


async def look_up(_):
    raise AssertionError("it lets nobody in, so it has nobody to look up")


async def test_who_only_probes_leaves_every_worker_to_the_bots(enforced, stores, dsn):
    sandbox = await enforced.create(ADA, name="blue")
    details = await enforced.issue_credentials(ADA, sandbox.id)
    settings = Settings(**store_settings(stores, dsn))
    async with open_stores(settings, migrating=False) as opened, Supervisor() as supervisor:
        clients = opened.callout
        issuer = Issuer(clients.account_seed)
        prober = NatsAccess(clients.auth, clients.system, issuer, look_up, max_connections=1, probes_only=True)
        async with prober.responder.serving(supervisor, "auth callout"):
            for _ in range(4):  # a request is one process's: some of them would have been the prober's
                worker = await nats.connect(details.environment["SANDBOX_NATS_URL"], allow_reconnect=False)
                await worker.close()
            assert await prober.probe(opened.addresses.public["nats"]) is None


async def test_where_no_bot_runs_isolation_is_found_out_all_the_same(stores, dsn, redis_client, nats_client):
    settings = Settings(**store_settings(stores, dsn))
    async with open_surroundings(settings, trials=True) as surroundings:
        assert (await surroundings.isolation()).unenforced() == []
