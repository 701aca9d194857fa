"""A client's connection, as far as it does not take a relay to see it."""

import asyncio
import ssl
from types import SimpleNamespace

from bot.certificates import write_certificates
from bot.relay.gateway.connection import Connection


async def test_a_tls_connection_that_both_sides_have_closed_has_nothing_unsent(tmp_path):
    write_certificates(tmp_path, ["127.0.0.1"])
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "relay.pem", tmp_path / "relay.key")
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def close_twice(_, writer):
        writer.close()
        writer.close()
        told.set_result(Connection(SimpleNamespace(transport=writer.transport)).unsent_bytes)

    async with await asyncio.start_server(close_twice, "127.0.0.1", 0, ssl=serving) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=trusting)
        async with asyncio.timeout(10):
            assert await told == 0
        writer.close()
