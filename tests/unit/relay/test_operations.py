"""What a sandbox's bot may ask Discord for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.relay.http.operations import OPERATIONS, match
from bot.relay.http.rules import Rule

LISTED = (Path(__file__).parents[2] / "discord_operations.txt").read_text().splitlines()


def anonymous(method, template):
    return method, re.sub(r"\{\w+\}", "{}", template)


def test_every_operation_of_discord_is_allowed_or_refused_on_purpose():
    listed = {anonymous(*line.split(" ", 1)) for line in LISTED}
    assert {anonymous(each.method, each.template) for each in OPERATIONS} == listed
    assert len(OPERATIONS) == len(listed) == 242


@pytest.mark.parametrize("line", LISTED)
def test_an_operation_is_found_by_its_own_rule(line):
    method, template = line.split(" ", 1)
    path = re.sub(r"\{(\w+)\}", lambda place: "tokentoken" if "token" in place[1] else "175928847299117063", template)
    found = match(method, path)
    assert found is not None
    assert anonymous(method, found.operation.template) == anonymous(method, template)
    assert found.path == path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/guilds/0175928847299117063"),
        ("GET", "/guilds/175928847299117063/"),
        ("GET", "//guilds/175928847299117063"),
        ("GET", "/guilds/175928847299117063/../../users/@me"),
        ("GET", "/channels/1759/%2e%2e/users"),
        ("GET", "/channels/1759/%252e%252e"),
        ("GET", "/channels/1759%2Fmessages"),
        ("GET", "/channels/1759%5Cmessages"),
        ("GET", "/channels/1759;x/messages"),
        ("GET", "/channels/\uff11\uff17"),
        ("get", "/gateway"),
        ("OPTIONS", "/gateway"),
        ("GET", "/users/@me/library"),
        ("PUT", "/channels/1/messages/2/reactions/%2F..%2F/@me"),
        ("GET", "/webhooks/1/..%2f..%2fgateway"),
        ("DELETE", "/guilds/1759"),
    ],
)
def test_an_odd_or_unlisted_path_is_no_operation(method, path):
    assert match(method, path) is None


def test_what_is_everybodys_is_refused():
    for method, path in (("PATCH", "/users/@me"), ("DELETE", "/users/@me/guilds/1"), ("POST", "/guilds/1/prune")):
        assert match(method, path).operation.rule is Rule.REFUSED


def test_libraries_ways_to_write_me_and_emojis_are_understood():
    assert match("GET", "/users/%40me").path == "/users/@me"
    assert match("PATCH", "/webhooks/1/tokentoken/messages/%40original").path.endswith("/@original")
    for emoji in ("%F0%9F%91%8D", "party:175928847299117063", "party%3A175928847299117063"):
        assert match("PUT", f"/channels/1/messages/2/reactions/{emoji}/@me").path.split("/")[6] == emoji
