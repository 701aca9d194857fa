"""Which NATS servers are asked who is connected, and which are told of because they aren't."""

import orjson
import pytest
from nats.aio.msg import Msg

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.nats_servers import NatsServers


class Answer:
    def __init__(self, name, server_id, members=()):
        self.name, self.server_id, self.members = name, server_id, members

    def read(self):
        server = {"name": self.name, "id": self.server_id, "cluster": "sandboxes"}
        if not self.members:
            return {"server": server, "statsz": {}}
        replicas = [{"name": member} for member in self.members]
        return {"server": server, "statsz": {"jetstream": {"meta": {"leader": self.name, "replicas": replicas}}}}


@pytest.fixture
def servers(monkeypatch):
    return Servers(monkeypatch)


class Servers:
    """Those that look at a clock of the test's, and are answered by it."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("bot.stores.nats_servers.time.monotonic", lambda: self.now)
        self.real = NatsServers(None)

    def answer(self, *answers, after_s=0.5):
        self.now += after_s
        self.real._note([answer.read() for answer in answers], alone=False)

    async def asked(self):
        return sorted(server.id for server in await self.real.answering())


async def test_who_is_heard_of_for_the_first_time_is_due_for_a_check_and_then_again_and_again(servers):
    servers.answer(Answer("n1", "A"))
    (server,) = servers.real.list_due()
    server.settle(server.doubts)
    assert servers.real.list_due() == []
    servers.now += constants.NATS_SERVERS_CHECKED_EVERY_S
    assert servers.real.list_due() == [server]


async def test_a_doubt_during_a_check_outlasts_it(servers):
    servers.answer(Answer("n1", "A"))
    (server,) = servers.real.list_due()
    doubts = server.doubts
    servers.real.doubt("A")
    server.settle(doubts)
    assert servers.real.list_due() == [server]


async def test_a_silent_server_is_named_and_not_asked_and_due_when_it_answers_again(servers):
    both = Answer("n1", "A"), Answer("n2", "B")
    servers.answer(*both)
    for server in servers.real.list_due():
        server.settle(server.doubts)
    servers.answer(both[0])
    assert await servers.asked() == ["A", "B"]
    servers.answer(both[0], after_s=constants.NATS_SERVER_SILENT_AFTER_S)
    assert await servers.asked() == ["A"]
    assert await servers.real.list_unasked() == ["n2"]
    assert servers.real.list_due() == []
    servers.answer(*both)
    assert await servers.real.list_unasked() == []
    assert [server.name for server in servers.real.list_due()] == ["n2"]


async def test_a_member_that_was_never_heard_is_named_until_it_is_removed(servers):
    servers.answer(Answer("n1", "A", members=["n2", "n3"]), Answer("n2", "B"))
    assert await servers.real.list_unasked() == ["n3"]
    servers.answer(Answer("n1", "A", members=["n2"]), Answer("n2", "B"))
    assert await servers.real.list_unasked() == []


async def test_a_server_that_was_started_again_is_another_one(servers):
    servers.answer(Answer("n1", "A"), Answer("n2", "B"))
    servers.answer(Answer("n1", "A"), after_s=constants.NATS_SERVER_SILENT_AFTER_S + 1)
    servers.answer(Answer("n1", "A"), Answer("n2", "C"))
    assert await servers.asked() == ["A", "C"]
    assert await servers.real.list_unasked() == []


async def test_who_is_silent_for_long_is_gone_for_good_unless_it_is_a_member(servers):
    first = Answer("n1", "A", members=["n2"])
    servers.answer(first, Answer("n2", "B"), Answer("n3", "C"))
    servers.answer(first, after_s=constants.NATS_SERVER_GONE_AFTER_S + 1)
    assert await servers.real.list_unasked() == ["n2"]


async def test_nobody_to_ask_is_no_word_that_nobody_is_there(servers):
    servers.real._looked_at = servers.now
    with pytest.raises(ServiceUnavailable):
        await servers.real.answering()


async def test_who_shuts_down_in_good_order_is_gone_for_good(servers):
    first = Answer("n1", "A", members=["n2"])
    servers.answer(first, Answer("n2", "B"))
    await servers.real._on_shutdown(Msg(None, data=orjson.dumps({"server": {"name": "n2", "id": "B"}})))
    servers.answer(first, Answer("n2", "B"))  # it had answered before
    assert await servers.asked() == ["A"]
    assert await servers.real.list_unasked() == []


async def test_a_server_that_is_silent_beside_others_has_ended_for_the_gateways_sessions(servers):
    one, two = Answer("n1", "A"), Answer("n2", "B")
    servers.answer(one, two)
    heard = servers.now
    servers.answer(one)
    assert servers.real.presence() == ({"A", "B"}, heard)
    servers.answer(one, after_s=constants.NATS_SERVER_SILENT_AFTER_S)
    assert servers.real.presence() == ({"A"}, servers.now)
    servers.answer(one, two)
    assert servers.real.presence() == ({"A", "B"}, servers.now)


async def test_nobody_has_ended_while_nobody_answers(servers):
    servers.answer(Answer("n1", "A"))
    heard = servers.now
    servers.answer(after_s=constants.NATS_SERVER_SILENT_AFTER_S * 2)
    assert servers.real.presence() == ({"A"}, heard)
