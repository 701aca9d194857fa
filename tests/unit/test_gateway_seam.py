"""What `bot/routing/gateway.py` and `bot/stores/nats.py` rely on in private parts of libraries.

If one of these fails after an upgrade, read the new source, mend the seam, and only then the fingerprint here.
"""

import hashlib
import inspect

import discord
import nats.aio.client
from discord.gateway import DiscordWebSocket

from bot.routing.gateway import SUPPORTED


def fingerprint(function):
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


def test_discord_py_is_the_version_that_the_seam_was_made_for():
    assert discord.__version__ == SUPPORTED


def test_the_websocket_is_the_one_that_the_tap_was_made_for():
    assert fingerprint(DiscordWebSocket.received_message) == "62c9f5ec6596dfef"
    assert fingerprint(DiscordWebSocket.from_client) == "25ac637bdad3134c"


def test_shards_and_clients_look_the_websocket_up_where_the_tap_is_installed():
    import discord.client
    import discord.shard

    assert "DiscordWebSocket.from_client" in inspect.getsource(discord.shard.Shard.reidentify)
    assert "DiscordWebSocket.from_client" in inspect.getsource(discord.client.Client.connect)


def test_nats_py_keeps_unwritten_data_where_we_clear_it():
    source = inspect.getsource(nats.aio.client.Client)
    assert "self._pending = []" in source
    assert "self._pending_data_size = 0" in source
    reconnect = inspect.getsource(nats.aio.client.Client._attempt_reconnect)
    assert reconnect.index("self._disconnected_cb()") < reconnect.index("self._select_next_server()")
