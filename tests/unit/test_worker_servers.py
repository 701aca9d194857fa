"""Where a worker finds its servers: which of them is tried next, and what an address says of several."""

from __future__ import annotations

import time
from urllib.parse import urlparse

import nats.errors
import pytest

from sandbox_worker.addresses import Host, Sentinels, WrongAddress, split_hosts, without_files
from sandbox_worker.login_attempts import LoginAttempts
from sandbox_worker.nats_servers import NatsServer, NatsServers

LOGIN = {"user": "id", "password": "s3cret"}


def in_turn(servers, count):
    found = []
    for _ in range(count):
        found.append(servers.first)
        servers.put_last(servers.first)
    return found


def urls(servers, count):
    return [server.url for server in in_turn(servers, count)]


@pytest.mark.parametrize(
    "address",
    [
        "nats://id:s3cret@a:1,nats://id:s3cret@b:2,nats://id:s3cret@c:3",
        "nats://id:s3cret@a:1, nats://b:2,nats://c:3",
        "nats://id:s3cret@a:1,b:2,c:3",
    ],
)
def test_every_server_of_an_address_is_tried_in_turn_with_the_login_beside_it(address):
    servers = NatsServers(address)
    tried = in_turn(servers, 3)
    assert sorted(server.url for server in tried) == ["nats://a:1", "nats://b:2", "nats://c:3"]
    assert [server.login for server in tried] == [LOGIN] * 3
    assert servers.first == tried[0]
    assert "s3cret" not in repr(tried)


def test_workers_do_not_all_begin_with_the_same_server():
    assert {NatsServers("nats://a:1,nats://b:2").first.url for _ in range(64)} == {"nats://a:1", "nats://b:2"}


@pytest.mark.parametrize(
    ("address", "login"),
    [
        ("nats://a:1", {"user": "beside", "password": "it"}),
        ("a:1", {"user": "beside", "password": "it"}),
        ("nats://id:s3%2Fcr%25et@a:1", {"user": "id", "password": "s3/cr%et"}),
        ("nats://t%40ken@a:1", {"token": "t@ken"}),
    ],
)
def test_a_login_is_read_as_addresses_have_it_and_what_stands_beside_counts_for_none(address, login):
    assert NatsServers(address, user="beside", password="it").first == NatsServer("nats://a:1", login)


def test_what_a_server_tells_of_its_cluster_is_tried_after_what_was_given():
    servers = NatsServers("tls://id:s3cret@nats.example.com:4222")
    (given,) = in_turn(servers, 1)
    assert not servers.has_others
    servers.learn(given, map(urlparse, ["tls://10.0.0.2:4222", "tls://nats-3.example.com:4222", given.url]))
    assert servers.has_others
    assert in_turn(servers, 3) == [
        given,
        NatsServer("tls://10.0.0.2:4222", LOGIN, "nats.example.com"),
        NatsServer("tls://nats-3.example.com:4222", LOGIN),
    ]
    servers.put_last(given)
    servers.learn(servers.first, map(urlparse, ["tls://nats-3.example.com:4222"]))
    assert urls(servers, 2) == ["tls://nats-3.example.com:4222", given.url]


def test_a_login_is_over_when_the_bot_has_refused_it_for_long_enough(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    refused = nats.errors.Error("nats: 'Authorization Violation'")
    attempts = LoginAttempts()
    attempts.note(refused, 0.1)
    now += 4.1
    attempts.note(refused, 0.1)
    assert attempts.are_refused
    attempts.note(TimeoutError(), 2.8)
    assert not attempts.are_refused


def test_a_refusal_after_the_time_in_which_a_server_waits_for_the_bot_is_nobodys_word(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    attempts = LoginAttempts()
    for _ in range(10):
        attempts.note(nats.errors.Error("nats: 'Authorization Violation'"), 2.01)
        now += 2.0
    assert not attempts.are_refused


def test_each_host_of_an_address_has_its_port():
    url = "postgresql://u:p@db-1:5433,[::1],db-2/sandboxes"
    assert split_hosts(url, 5432) == [Host("db-1", 5433), Host("::1", 5432), Host("db-2", 5432)]
    assert ",".join(map(str, split_hosts(url, 5432))) == "db-1:5433,[::1]:5432,db-2:5432"
    with pytest.raises(WrongAddress, match="ports"):
        split_hosts("postgresql://db-1:one", 5432)


def test_an_address_of_sentinels_names_them_and_the_server_that_they_find():
    found = Sentinels.read("rediss+sentinel://u:p@s-1:1,s-2/main/17")
    assert found == (((Host("s-1", 1), Host("s-2", 26379))), "main", "rediss://u:p@/17")
    assert isinstance(found, Sentinels)
    assert found.url_of(Host("::1", 6380)) == "rediss://u:p@[::1]:6380/17"
    assert Sentinels.of("rediss://u:p@cache:6380/17", "s-1:1,s-2", "main") == found
    assert Sentinels.read("redis://cache") is None
    with pytest.raises(WrongAddress, match="no name of a master"):
        Sentinels.read("redis+sentinel://s-1:1")


@pytest.mark.parametrize(
    ("address", "without"),
    [
        ("postgresql://db/bot?sslmode=verify-full&sslrootcert=/etc/ca.pem", "postgresql://db/bot?sslmode=verify-full"),
        ("postgresql://db/bot?sslrootcert=system", "postgresql://db/bot?sslrootcert=system"),
        ("rediss://cache/3?ssl_ca_certs=/etc/ca.pem", "rediss://cache/3"),
        ("tls://a:1?ssl_ca_certs=ca.pem,tls://b:2?ssl_ca_certs=ca.pem", "tls://a:1,tls://b:2"),
        ("redis://cache/3", "redis://cache/3"),
    ],
)
def test_no_file_of_the_bots_machine_is_named_to_anybody_else(address, without):
    assert without_files(address) == without
