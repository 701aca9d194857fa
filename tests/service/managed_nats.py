"""A NATS as a provider runs it: accounts with limits by JSON web tokens, users by files of credentials or NKeys."""

from __future__ import annotations

import secrets
import time
from contextlib import asynccontextmanager

import aiohttp
import nkeys

from bot.stores.embedded.programs import nats_program
from bot.stores.nats_jwt import Issuer
from tests.cluster.server import LOOPBACK, Server, free_ports

UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
ACCOUNT = {
    **UNLIMITED,
    **dict.fromkeys(("imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams", "consumer"), -1),
    "wildcards": True,
}


def new_key(prefix):
    """Of an operator, an account or a user."""
    return Issuer(nkeys.encode_seed(secrets.token_bytes(32), prefix).decode())


def claims(subject, kind, **about):
    return {
        "sub": subject.account,
        "name": kind,
        "iat": int(time.time()),
        "nats": {"type": kind, "version": 2, **about},
    }


def write_credentials(file, account):
    """Of a new user of the account."""
    user = new_key(nkeys.PREFIX_BYTE_USER)
    jwt = account.sign(claims(user, "user", **UNLIMITED, pub={}, sub={}))
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user._seed.decode()}\n------END USER NKEY SEED------\n"
    )


@asynccontextmanager
async def managed_nats(folder, **limits):
    """The server, and the key of an account with these limits."""
    operator, account, system = (
        new_key(prefix) for prefix in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_ACCOUNT)
    )
    rest: dict[str, object] = {"default_permissions": {"pub": {}, "sub": {}}}
    accounts = {
        account.account: operator.sign(claims(account, "account", limits=ACCOUNT | limits, **rest)),
        system.account: operator.sign(claims(system, "account", limits=UNLIMITED | {"conn": -1}, **rest)),
    }
    preloaded = "\n".join(f"{key}: {jwt}" for key, jwt in accounts.items())
    configuration = (
        f"operator: {operator.sign(claims(operator, 'operator'))}\nsystem_account: {system.account}\n"
        f"resolver: MEMORY\nresolver_preload {{\n{preloaded}\n}}\n"
    )
    async with running(folder, configuration) as server:
        yield server, account


@asynccontextmanager
async def running(folder, configuration):
    """One server, with JetStream."""
    port, monitor = free_ports(2)
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "{LOOPBACK}:{port}"\nhttp: "{LOOPBACK}:{monitor}"\n'
        f'jetstream {{ store_dir: "{folder}" }}\n{configuration}'
    )

    async def is_ready():
        async with aiohttp.ClientSession() as session, session.get(f"http://{LOOPBACK}:{monitor}/healthz") as answer:
            answer.raise_for_status()

    server = Server("nats", port, [nats_program(), "-c", str(config)], folder, is_ready)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


def url(server):
    return f"nats://{LOOPBACK}:{server.port}"
