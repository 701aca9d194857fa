from types import SimpleNamespace
from urllib.parse import urlparse

from nats.aio.client import Server

from bot import constants
from bot.stores.nats_reconnects import ConnectionLog


def test_the_server_that_was_lost_is_tried_after_all_others_and_none_again_without_a_pause():
    servers = [Server(urlparse(f"nats://{name}:4222")) for name in "abc"]
    client = SimpleNamespace(connected_url=servers[0].uri, server_pool=servers, options={})
    log = ConnectionLog(client, len(servers))
    log.established()
    tried = []
    for _ in range(5):
        chosen, pause_s = log.choose(servers, {})
        tried.append((chosen.uri.hostname, pause_s > 0))
        chosen.reconnects += 1
    assert tried == [("b", False), ("c", False), ("b", True), ("c", True), ("a", False)]
    assert client.options == {"ping_interval": constants.NATS_CLUSTER_PING_EVERY_S}
