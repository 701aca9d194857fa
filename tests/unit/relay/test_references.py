"""What a request names beside its path."""

from __future__ import annotations

import pytest

from bot.relay.http.bodies import BadBody
from bot.relay.http.operations import find, for_log
from bot.relay.http.references import read_query, references, snowflake, written_query


def named(method, path, body=None, query=""):
    found = find(method, f"/api/v10{path}")
    return references(found.operation, body, read_query(query))


def test_channels_and_servers_are_found_by_their_fields_names_wherever_these_stand():
    body = {
        "a": [{"deep": {"system_channel_id": "1", "channel_ids": ["2", 3]}}],
        "source_guild_id": 4,
        "parent_id": None,
    }
    found = named("PATCH", "/guilds/5", body, "thread_id=6&channel_id=7&limit=8")
    assert (found.channels, found.guilds) == ({1, 2, 3, 6, 7}, {4})


def test_what_the_relay_keeps_itself_and_foreign_forms_name_nothing():
    assert not named("PUT", "/applications/1/commands", [{"channel_id": "2"}]).channels
    assert not named("POST", "/webhooks/1/tokentoken/github", {"parent_id": "x"}).channels
    assert not named("POST", "/channels/1/messages", {"message_reference": {"channel_id": "2"}}).channels
    assert named("PATCH", "/guilds/1/channels", [{"id": "2"}]).channels == {2}


@pytest.mark.parametrize(
    "value", ["", "x", "-1", "+1", " 1", "1.0", "1e3", 1.5, True, None, [], {}, "0", "\u0661", 1 << 64]
)
def test_what_is_no_snowflake_is_refused(value):
    with pytest.raises(BadBody, match="channel_id is no snowflake"):
        snowflake(value, "channel_id")


@pytest.mark.parametrize(
    "text", ["thread_id[]=1", "Thread_id=1", "=1", "%74hread_id%00=1", "a.b=1", "&".join(["a=1"] * 200)]
)
def test_an_odd_query_is_refused(text):
    with pytest.raises(BadBody):
        read_query(text)


def test_a_query_is_written_anew():
    assert (
        written_query(read_query("content=a+b%26c&wait=true&has=&%6cimit=1"))
        == "content=a+b%26c&wait=true&has=&limit=1"
    )


def test_the_log_is_told_no_token():
    assert for_log("POST", "/api/v10/webhooks/1/a-secret-token?wait=1") == "POST /webhooks/{webhook}/{token}"
    assert for_log("POST", "/a-secret-token") == "an unknown operation"
