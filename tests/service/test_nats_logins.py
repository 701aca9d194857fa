"""The bot's own login to NATS, in each way that there is."""

import asyncio

import nkeys
import pytest

from bot.errors import ServiceUnavailable
from bot.settings import Nats, Settings
from bot.stores.nats_addresses import NatsLogin
from bot.stores.nats_capacity import NatsNeeds, read_nats_capacity
from bot.stores.nats_client import open_nats
from bot.stores.opening import open_addresses
from tests.service.managed_nats import managed_nats, new_key, running, url, write_credentials
from tests.service.servers import until


async def test_a_password_is_written_with_percent_signs_and_meant_without(tmp_path):
    async with running(tmp_path, 'authorization { user: "u:1", password: "p/@%q" }') as server:
        client = await open_nats(url(server).replace("//", "//u%3A1:p%2F%40%25q@"))
        await client.close()


async def test_a_login_that_is_refused_is_told_at_once_without_the_password(tmp_path):
    async with running(tmp_path, "authorization { user: u, password: p }") as server:
        async with asyncio.timeout(3):
            with pytest.raises(ServiceUnavailable) as caught:
                await open_nats(url(server).replace("//", "//u:hunter22@"))
        assert "Authorization Violation" in caught.value.detail
        assert "hunter22" not in caught.value.detail


async def test_no_password_goes_in_the_clear_to_an_address_that_wants_tls(tmp_path):
    async with running(tmp_path, "authorization { user: u, password: p }") as server:
        with pytest.raises(ServiceUnavailable) as caught:
            await open_nats(url(server).replace("nats://", "tls://u:p@"))
        assert caught.value.detail == "the server does not ask for TLS, which a tls:// address wants"


async def test_a_file_of_credentials_is_read_whenever_the_bot_connects(tmp_path):
    file = tmp_path / "bot.creds"
    async with managed_nats(tmp_path) as (server, account):
        write_credentials(file, account)
        client = await open_nats(url(server), login=NatsLogin(file))
        file.write_text("half of it")  # as while it is replaced
        await server.kill()
        await server.launch()
        await until(lambda: "no file of NATS's credentials" in str(client.last_error))
        write_credentials(file, account)
        await until(lambda: client.is_connected)
        await client.jetstream().account_info()
        await client.close()


async def test_the_seed_of_an_nkey_logs_in_as_the_settings_have_it(tmp_path):
    user = new_key(nkeys.PREFIX_BYTE_USER)
    seed = user._seed.decode()
    async with running(tmp_path, f"authorization {{ users: [{{ nkey: {user.account} }}] }}") as server:
        settings = Settings(nats=Nats(url=url(server), nkey_seed=seed))
        async with open_addresses(settings, only=frozenset({"nats"})) as addresses:
            client = await open_nats(addresses.nats, login=addresses.nats_login)
        assert seed not in repr(addresses)
        await client.close()


async def test_what_a_provider_allows_less_of_than_is_needed_is_warned_of(tmp_path):
    needs = NatsNeeds(stream_bytes=2**28, replicas=1, quota=5, per_sandbox=10)
    small = {"streams": 3, "disk_storage": 2**30, "disk_max_stream_bytes": 2**26, "consumer": 2}
    async with managed_nats(tmp_path, **small) as (server, account):
        write_credentials(tmp_path / "bot.creds", account)
        client = await open_nats(url(server), login=NatsLogin(tmp_path / "bot.creds"))
        capacity = await read_nats_capacity(client, None, 1)
        await client.close()
    told = "\n".join(finding.message for finding in capacity.findings(needs))
    for limit in ("max_streams", "max_storage", "storage_max_stream_bytes", "max_consumers"):
        assert limit in told
