"""Embedded stores that workers on other machines reach."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest
import redis.asyncio

from bot.certificates import write_certificates
from bot.control_plane import open_control_plane
from bot.settings import Embedded, Settings, Workers
from bot.stores.embedded import EmbeddedError, EmbeddedStores, Reach
from bot.stores.opening import open_stores
from sandbox_worker import Sandbox
from tests.service.conftest import ADA, enforcing

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
REDIS = shutil.which("redis-server")
NAME = "stores.test"


@pytest.fixture(scope="module")
def own_address():
    """One of this machine's that is not loopback; asking for a way sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return probe.getsockname()[0]


@pytest.fixture
def certificates(tmp_path, own_address):
    write_certificates(tmp_path / "certificates", [NAME, own_address])
    return tmp_path / "certificates"


def embedded(folder, **options):
    return Embedded(folder=folder / "stores", durable=False, **options)


@pytest.mark.skipif(POSTGRES is None or REDIS is None, reason="no servers with TLS are installed")
async def test_with_certificates_workers_come_by_tls_and_nobody_in_the_clear(tmp_path, own_address, certificates):
    settings = Settings(
        embedded=embedded(tmp_path, postgres=POSTGRES, valkey=REDIS),
        workers=Workers(listen="0.0.0.0", host=own_address, certificates=certificates),
    )
    async with enforcing(settings) as manager:
        sandbox = await manager.create(ADA)
        details = await manager.issue_credentials(ADA, sandbox.id)
        urls = {name: value for name, value in details.environment.items() if name.endswith("_URL")}
        assert {urlsplit(url).hostname for url in urls.values()} == {own_address}
        assert [urlsplit(url).scheme for url in urls.values()] == ["postgresql", "rediss", "tls"]
        assert urls["SANDBOX_DATABASE_URL"].endswith("/sandboxes?sslmode=require")
        await works(tmp_path, details, certificates / "ca.pem")
        await refuses_what_is_in_the_clear(urls)


PROGRAM = """
import asyncio
from sandbox_worker import Sandbox

async def main():
    async with Sandbox.from_env() as sandbox:
        print(await sandbox.pg.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        print(await sandbox.redis.set("greeting", "hello"))
        print(len(await sandbox.fetch_variables()) > 9)

asyncio.run(main())
"""


async def works(folder, details, authority):
    """The kit, which trusts the authority by the variable that all of OpenSSL's users know."""
    (folder / ".env").write_text(details.as_dotenv())
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env={**os.environ, "SSL_CERT_FILE": str(authority)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "True\nTrue\nTrue\n"), done.stderr


async def refuses_what_is_in_the_clear(urls):
    clear = urls["SANDBOX_DATABASE_URL"].replace("sslmode=require", "sslmode=disable")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await asyncpg.connect(clear)
    with pytest.raises(redis.exceptions.ConnectionError):
        await redis.asyncio.from_url(urls["SANDBOX_REDIS_URL"].replace("rediss:", "redis:")).ping()
    reader, writer = await asyncio.open_connection(*address_of(urls["SANDBOX_NATS_URL"]))
    assert b'"tls_required":true' in await reader.readline()
    writer.close()
    strangers = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        await nats.connect(urls["SANDBOX_NATS_URL"], tls=strangers, allow_reconnect=False)


def address_of(url):
    parts = urlsplit(url)
    return parts.hostname, parts.port


async def test_from_elsewhere_neither_the_bot_nor_the_superuser_logs_in_to_postgresql(tmp_path, own_address):
    reach = Reach(own_address, own_address)
    async with EmbeddedStores(tmp_path, durable=False, stores=frozenset({"postgres"}), reach=reach) as stores:
        for url in (stores.database_url, stores.superuser_url()):
            await (await asyncpg.connect(url)).close()
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="rejects connection"):
                await asyncpg.connect(url.replace("127.0.0.1", own_address))


async def test_in_the_clear_if_that_is_wanted_and_two_processes_hand_out_the_same(tmp_path, own_address):
    settings = Settings(embedded=embedded(tmp_path), workers=Workers(listen=own_address, plaintext=True))
    async with enforcing(settings) as manager:
        sandbox = await manager.create(ADA)
        details = await manager.issue_credentials(ADA, sandbox.id)
        async with (
            open_stores(settings, share=True) as shared,
            open_control_plane(settings, shared) as other,
            Sandbox.from_env(details.environment) as worker,
        ):
            again = await other.issue_credentials(ADA, sandbox.id, rotate=True)
            assert worker.environment.database_url.split("@")[1] in again.environment["SANDBOX_DATABASE_URL"]
        async with Sandbox.from_env(again.environment) as worker:
            assert urlsplit(worker.environment.nats_url).hostname == own_address
            assert await worker.pg.fetchval("SELECT count(*) FROM communities") == 0
            assert await worker.redis.set("greeting", "hello")
            assert (await worker.fetch_variables())["SANDBOX_ID"] == str(sandbox.id)


@pytest.mark.parametrize(("store", "setting"), [("postgres", "postgres"), ("redis", "valkey")])
async def test_a_server_without_tls_is_refused_off_loopback_with_the_setting_that_names_another(
    tmp_path, own_address, certificates, store, setting
):
    reach = Reach(own_address, own_address, certificates)
    with pytest.raises(EmbeddedError, match=rf"has no TLS, which .* in \[embedded\] {setting};"):
        async with EmbeddedStores(tmp_path / "data", durable=False, stores=frozenset({store}), reach=reach):
            pass


async def test_certificates_that_are_not_there_and_addresses_of_others_are_named(tmp_path, own_address, certificates):
    reach = Reach(own_address, NAME, certificates)
    (certificates / "nats.key").unlink()
    with pytest.raises(EmbeddedError, match=rf"there is no .*nats.key. `sandbox-bot certificates {NAME}` makes it"):
        async with EmbeddedStores(tmp_path / "data", durable=False, stores=frozenset({"nats"}), reach=reach):
            pass
    elsewhere = replace(reach, listen="198.51.100.1", certificates=None)
    with pytest.raises(EmbeddedError, match=r"no free port on 198.51.100.1: is that an address of this machine\?"):
        async with EmbeddedStores(tmp_path / "data", durable=False, stores=frozenset({"nats"}), reach=elsewhere):
            pass
