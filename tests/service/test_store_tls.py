"""PostgreSQL and Redis by TLS, with `[tls] ca`. The wheels' servers have none: these are Debian's."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack

import pytest

from bot.certificates import write_certificates
from bot.errors import ServiceUnavailable
from bot.settings import Settings
from bot.stores.opening import open_addresses
from bot.stores.postgres import open_pool
from bot.stores.postgres_tls import tls_of
from bot.stores.redis_client import open_redis
from tests.cluster.postgres_servers import PostgresPair
from tests.cluster.servers import HAS_TLS, WITH_TLS
from tests.cluster.valkey_servers import GROUP, ValkeyGroup

by_debian = pytest.mark.skipif(not HAS_TLS, reason="no PostgreSQL and Redis with TLS are installed (apt)")
REFUSED = "the certificate of 127.0.0.1 is refused: "


@pytest.fixture(scope="module")
async def servers(tmp_path_factory):
    ours, theirs = (tmp_path_factory.mktemp(name) for name in ("ours", "theirs"))
    for folder in (ours, theirs):
        write_certificates(folder, ["127.0.0.1", "localhost"])
    async with AsyncExitStack() as stack:
        options = {"programs": WITH_TLS, "certificates": ours}
        pair = await stack.enter_async_context(PostgresPair(tmp_path_factory.mktemp("postgres"), **options))
        group = await stack.enter_async_context(ValkeyGroup(tmp_path_factory.mktemp("redis"), **options))
        ((host, port),) = group.sentinels
        sentinels = f"rediss+sentinel://default:{group.password}@{host}:{port}/{GROUP}/0"
        yield pair, group.url("valkey-1"), sentinels, ours / "ca.pem", theirs / "ca.pem"


def settings_of(ca, dsn, redis_url):
    return Settings(tls={"ca": ca}, postgres={"dsn": dsn}, redis={"url": redis_url}, nats={"url": "nats://h"})


@by_debian
@pytest.mark.long
@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_both_are_trusted_by_one_file(servers, mode):
    pair, redis_url, sentinels, ca, _ = servers
    for url in (redis_url, sentinels):
        async with open_addresses(settings_of(ca, pair.url(query=f"sslmode={mode}"), url)) as addresses:
            pool = await open_pool(addresses.postgres)
            assert await pool.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            pool.terminate()
            client = await open_redis(addresses.redis)
            assert await client.ping()
            await client.aclose()
            assert str(ca) not in str(addresses.for_workers)


@by_debian
@pytest.mark.long
@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_whose_certificate_is_refused_is_told_on_one_line(servers, mode):
    pair, redis_url, sentinels, _, other_ca = servers
    alone = pair.url(pair.primary, query=f"sslmode={mode}")
    for url in (redis_url, sentinels):
        async with open_addresses(settings_of(other_ca, alone, url)) as addresses:
            for attempt in (open_pool(addresses.postgres), open_redis(addresses.redis)):
                with pytest.raises(ServiceUnavailable) as caught:
                    await attempt
                assert REFUSED in caught.value.detail
                assert "issuer discord-sandboxes authority" in caught.value.detail
                assert caught.value.detail.endswith("name its authority in [tls] ca")


def test_tls_to_postgresql_is_asyncpgs_own_business_unless_the_authority_is_ours_to_name(tmp_path, monkeypatch):
    write_certificates(tmp_path, ["127.0.0.1"])
    ca = str(tmp_path / "ca.pem")
    assert tls_of("postgresql://h/d", ca) is None
    assert tls_of("postgresql://h/d?sslmode=require", None) is None
    assert tls_of("postgresql://h/d?sslmode=verify-full&sslrootcert=/other", ca) is None
    whole = tls_of("postgresql://h/d?sslmode=verify-full", None)
    assert (whole.check_hostname, whole.verify_mode) == (True, ssl.CERT_REQUIRED)
    for_any_name = tls_of("postgresql://h/d?sslmode=verify-ca", ca)
    assert (for_any_name.check_hostname, len(for_any_name.get_ca_certs())) == (False, 1)
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert tls_of("postgresql://h/d", ca).check_hostname
