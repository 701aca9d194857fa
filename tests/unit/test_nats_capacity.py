import re

import pytest

from bot.stores.nats_capacity import NatsCapacity, NatsNeeds

MB = 1024 * 1024
NEEDS = NatsNeeds(stream_bytes=256 * MB, replicas=3, quota=5, per_sandbox=10)
ENOUGH = {
    "servers": 3,
    "max_payload": MB,
    "limits": {},
    "streams": 100,
    "reserved": 10**12,
    "most_connections": 65536,
}


def test_a_cluster_that_has_room_is_not_warned_of():
    assert not list(NatsCapacity(**ENOUGH).findings(NEEDS))
    assert not list(NatsCapacity(**ENOUGH | {"servers": None, "most_connections": None}).findings(NEEDS))


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ({"servers": 2}, "nats.stream_replicas is 3, and the servers with JetStream are 2: no stream can be made"),
        ({"limits": None}, "the account may have no stream on so many servers"),
        ({"max_payload": 65536}, "It takes 65536 bytes a message"),
        ({"most_connections": 54}, "A server takes 54 connections, .* may have 55. Raise max_connections"),
        ({"limits": {"storage_max_stream_bytes": 100 * MB}}, "no stream can be made. .*stream_max_megabytes to 100"),
        ({"limits": {"max_streams": 104}}, "max_streams of the account has room for 4 more sandboxes"),
        ({"limits": {"max_streams": 99}}, "max_streams of the account has room for 0 more sandboxes"),
        ({"limits": {"max_storage": 4 * 768 * MB + 10**12}}, "max_storage .* room for 4 more sandboxes"),
        ({"limits": {"max_consumers": 20}}, "max_consumers of the account is 20, and one sandbox may need 21"),
        ({"limits": {"max_ack_pending": 500}}, "max_ack_pending of the account is 500, and .* 1000"),
    ],
)
def test_what_is_too_small_is_named_with_what_would_do(lacking, told):
    (finding,) = NatsCapacity(**ENOUGH | lacking).findings(NEEDS)
    assert finding.mend
    assert re.search(told, f"{finding.message} {finding.mend}"), finding
