from pathlib import Path

import nats.errors
import pytest

from bot.stores.nats_addresses import NatsLogin, login_options, servers_in
from bot.stores.urls import with_authority

CLUSTER = "tls://u:p%2F%40%25q@a:4222,tls://u:p%2F%40%25q@b?ssl_ca_certs=/ca.pem,tls://c"


def test_servers_are_named_without_login_and_parameters():
    assert servers_in(CLUSTER) == ["tls://a:4222", "tls://b", "tls://c"]


@pytest.mark.parametrize(
    ("urls", "login"),
    [
        (CLUSTER, {"user": "u", "password": "p/@%q"}),
        ("nats://a,nats://x:@b", {"user": "x", "password": ""}),
        ("nats://to%3Aken@a", {"token": "to:ken"}),
        ("nats://a", {}),
    ],
)
def test_a_login_is_decoded_and_holds_on_every_server(urls, login):
    assert login_options(urls) == login


def test_credentials_that_are_gone_are_a_failed_login_like_any_other(tmp_path):
    options = login_options("nats://a", NatsLogin(tmp_path / "bot.creds"))
    (tmp_path / "bot.creds").write_text("something else")
    with pytest.raises(nats.errors.Error, match=r"bot\.creds is no file of NATS's credentials"):
        options["user_jwt_cb"]()


def test_an_authority_of_ones_own_is_named_in_each_address_that_names_none():
    found = with_authority(CLUSTER, Path("/my ca.pem"))
    parameters = [url.partition("?")[2] for url in found.split(",")]
    assert parameters == ["ssl_ca_certs=%2Fmy%20ca.pem", "ssl_ca_certs=/ca.pem", "ssl_ca_certs=%2Fmy%20ca.pem"]
    assert with_authority(CLUSTER, None) == CLUSTER
