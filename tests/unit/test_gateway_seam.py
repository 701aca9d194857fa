"""What `bot/routing` and `bot/stores/nats.py` rely on in private parts of libraries.

If one of these fails after an upgrade, read the new source, mend the seam, and only then the fingerprint here.
"""

import asyncio
import hashlib
import inspect
from typing import Any

import aiohttp
import discord
import discord.shard
import nats.aio.client
from aiohttp._websocket.reader_py import WebSocketDataQueue
from discord.gateway import DiscordWebSocket
from nats.protocol.parser import Parser

from bot import private_api
from bot.routing.shards import SupervisedShard

SHARD: Any = SupervisedShard.__bases__[0]
"""discord.py's own: in its place stands the bot's as soon as a tap is installed anywhere in this process."""


def fingerprint(function):
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


def test_discord_py_is_the_version_that_the_seam_was_made_for():
    assert discord.__version__ == private_api.LIBRARIES["discord.py"].supported


def test_the_websocket_is_the_one_that_the_tap_was_made_for():
    assert fingerprint(DiscordWebSocket.received_message) == "62c9f5ec6596dfef"
    assert fingerprint(DiscordWebSocket.from_client) == "25ac637bdad3134c"
    assert fingerprint(DiscordWebSocket.poll_event) == "f0b053464dec87ea"


def test_a_session_is_resumed_and_closed_as_the_seam_expects():
    assert fingerprint(DiscordWebSocket.close) == "faca96f43534ee4e"
    assert fingerprint(DiscordWebSocket.resume) == "2cfb05e643447f77"
    assert fingerprint(SHARD.reidentify) == "d018e505806f8a1a"
    assert fingerprint(discord.shard.AutoShardedClient.launch_shards) == "a65898ed135314b6"
    assert fingerprint(SHARD.reconnect) == "786f83b129f26bc0"
    assert fingerprint(SHARD.worker) == "91adedc27783bbfe"
    assert fingerprint(discord.shard.AutoShardedClient.launch_shard) == "122ec0d76793ec0a"
    assert fingerprint(discord.shard.AutoShardedClient.connect) == "52280e53c2e9c9f2"
    assert fingerprint(DiscordWebSocket.identify) == "b7aa0609de135393"


def test_a_connection_that_is_cancelled_is_given_up_quietly_and_never_tried_again():
    for method in (SHARD.reidentify, SHARD.reconnect):
        source = inspect.getsource(method)
        assert "except asyncio.CancelledError:\n            return\n" in source
        assert source.index("asyncio.CancelledError") < source.index("except Exception")
    assert "except Exception" in inspect.getsource(discord.shard.AutoShardedClient.launch_shard)
    assert not issubclass(asyncio.CancelledError, Exception)


def test_shards_and_clients_look_the_websocket_up_where_the_tap_is_installed():
    import discord.client
    import discord.shard

    assert "DiscordWebSocket.from_client" in inspect.getsource(SHARD.reidentify)
    assert "DiscordWebSocket.from_client" in inspect.getsource(discord.client.Client.connect)


def test_aiohttp_keeps_received_messages_where_the_tap_looks_for_more():
    source = inspect.getsource(WebSocketDataQueue)
    assert "self._put_buffer((data, size))" in source
    assert "self._put_buffer = self._buffer.append" in source
    assert "self._reader.read()" in inspect.getsource(aiohttp.ClientWebSocketResponse.receive)


def test_nats_py_reads_and_writes_through_what_the_publisher_uses():
    assert fingerprint(Parser) == "0fb65d992f6f0614"
    assert "await self._ps.parse(b)" in inspect.getsource(nats.aio.client.Client._read_loop)
    assert fingerprint(nats.aio.client.Client._flush_pending) == "317c8d7ef54b90b7"
    assert "self._transport.writelines(self._pending[:])" in inspect.getsource(nats.aio.client.Client._flusher)


def test_a_reconnect_is_counted_before_anything_can_be_written_on_the_new_connection():
    source = inspect.getsource(nats.aio.client.Client._attempt_reconnect)
    after = source[source.index("await self._process_connect_init()") :]
    counted = after.index('self.stats["reconnects"] += 1')
    assert "await" not in after[len("await") : counted]
    assert "await" not in after[counted : after.index("self._transport.write(sub_cmd)")]


def test_nats_py_keeps_unwritten_data_where_we_clear_it():
    source = inspect.getsource(nats.aio.client.Client)
    assert "self._pending = []" in source
    assert "self._pending_data_size = 0" in source
    reconnect = inspect.getsource(nats.aio.client.Client._attempt_reconnect)
    assert reconnect.index("self._disconnected_cb()") < reconnect.index("self._select_next_server()")
