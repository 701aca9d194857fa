"""The token goes to the gateway that the API names, and to Discord's."""

import pytest
import yarl

from bot.routing.gateway_address import is_trusted

DISCORD = yarl.URL("wss://gateway.discord.gg/")
DISCORD_API = "https://discord.com/api/v10"
OWN = yarl.URL("ws://127.0.0.1:8000")
OWN_API = "http://127.0.0.1:8000/api/v10"


@pytest.mark.parametrize(
    "address",
    ["wss://gateway.discord.gg/", "wss://gateway-us-east1-b.discord.gg", "wss://GATEWAY-EU.DISCORD.GG/?v=10"],
)
def test_discords_hosts_are_trusted(address):
    assert is_trusted(address, DISCORD, DISCORD_API)


@pytest.mark.parametrize(
    "address",
    [
        "ws://gateway.discord.gg/",
        "http://gateway.discord.gg/",
        "https://gateway.discord.gg/",
        "wss://evil.example",
        "wss://evil.example/.discord.gg",
        "wss://evil.example#.discord.gg",
        "wss://evil.example?.discord.gg",
        "wss://gateway.discord.gg@evil.example",
        "wss://gateway.discord.gg:443@evil.example",
        "wss://gateway.discord.gg.evil.example",
        "wss://evildiscord.gg",
        "wss://127.0.0.1:8000",
        "wss://[",
        "wss://gateway.discord.gg:x",
        "//gateway.discord.gg",
        "gateway.discord.gg",
        "",
    ],
)
def test_nothing_else_is(address):
    assert not is_trusted(address, DISCORD, DISCORD_API)


def test_the_gateway_that_the_api_names_is_trusted_at_its_port_and_without_tls_only_if_the_api_has_none():
    assert is_trusted("ws://127.0.0.1:8000/?v=10", OWN, OWN_API)
    assert not is_trusted("ws://127.0.0.1:8001", OWN, OWN_API)
    assert not is_trusted("ws://localhost:8000", OWN, OWN_API)
    assert not is_trusted("ws://gateway.example", yarl.URL("wss://gateway.example"), "https://api.example")
    assert is_trusted("wss://gateway.example:443", yarl.URL("wss://gateway.example"), "https://api.example")
