import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.routing import dispatch
from bot.routing.router import EventRouter
from bot.routing.table import Route, RouteTable
from sandbox_worker.gateway_events import LOCATIONS, Location
from sandbox_worker.protocol import TOO_LARGE_HEADER
from tests.unit.test_dispatch import body, gateway_text, surroundings

BOUND, UNBOUND, CHANNEL = 10**17 + 11, 10**17 + 12, 10**17 + 13


class Sink:
    """Keeps what is published."""

    def __init__(self, limit=10**6):
        self.limit, self.published, self.plain = limit, [], []

    def publish(self, subject, payload, message_id, headers=None):
        self.published.append((subject, payload, message_id, headers))

    def publish_unacknowledged(self, subject, payload):
        self.plain.append((subject, payload))

    def fits(self, payload):
        return len(payload) <= self.limit


class Forwarded(dict):
    """Of interactions and messages, where they went."""

    def __init__(self):
        super().__init__()
        self.withheld: Counter[str] = Counter()

    def withhold(self, prefix):
        self.withheld[prefix] += 1

    def prefix_of(self, snowflake):
        return self.get(snowflake)

    def remember(self, snowflake, prefix):
        self[snowflake] = prefix


class Own:
    """What is called `sandbox` is the bot's own."""

    async def prepare(self, dispatch):
        pass

    def include(self, dispatch):
        return dispatch.interaction_data.name == "sandbox"


def make(sink, now=0.0, **options):
    table = RouteTable()
    table.replace(table.next_version(), {BOUND: Route("sandbox.x.events.", 100.0)})
    return EventRouter(table, sink, Forwarded(), Own(), clock=lambda: now, **options)


def send(router, name, data, sequence=7):
    text = gateway_text(name, data, sequence)
    router.route(dispatch.read(text), text, 3, "session")
    return text


@given(st.sampled_from(sorted(LOCATIONS)), st.sampled_from([BOUND, UNBOUND]))
def test_an_event_goes_to_its_guilds_sandbox_unchanged_or_nowhere(name, guild_id):
    sink = Sink()
    text = send(make(sink), name, body(LOCATIONS[name], guild_id))
    routed = guild_id == BOUND and LOCATIONS[name] is not Location.NOWHERE
    expected = [(f"sandbox.x.events.{name}", text.encode(), "session:3:7", None)] if routed else []
    assert sink.published == expected


def test_events_are_counted_by_the_sandbox_that_they_went_to():
    router = make(Sink())
    for guild_id in (BOUND, UNBOUND, BOUND):
        send(router, "TYPING_START", {"guild_id": str(guild_id)})
    assert router.activity == {"sandbox.x.events.": 2}


BOUND_TOO = 10**17 + 14


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(LOCATIONS)),
            st.sampled_from([BOUND, BOUND_TOO, UNBOUND]),
            surroundings,
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_comes_with_an_event_each_sandbox_gets_its_own_unchanged_and_nothing_else(received):
    sink = Sink()
    router = make(sink)
    routes = {BOUND: Route("sandbox.x.events.", 100.0), BOUND_TOO: Route("sandbox.y.events.", 100.0)}
    router._table.replace(router._table.next_version(), routes)
    expected = []
    for sequence, (name, guild_id, around, is_ascii) in enumerate(received):
        foreign = {"guild": {"id": str(BOUND_TOO), "guild_id": str(BOUND)}, "guilds": [{"guild_id": str(BOUND)}]}
        data = around | foreign | body(LOCATIONS[name], guild_id)
        text = json.dumps({"t": name, "s": sequence, "op": 0, "d": data}, ensure_ascii=is_ascii)
        router.route(dispatch.read(text), text, 3, "session")
        if guild_id in routes and LOCATIONS[name] is not Location.NOWHERE:
            expected.append((routes[guild_id].prefix + name, text.encode(), f"session:3:{sequence}", None))
    assert sink.published == expected


def test_a_gap_is_told_to_each_living_sandbox_with_servers_on_the_shard_once():
    here, there, late = (10**17 >> 22 << 22) | 0, ((10**17 >> 22) + 1) << 22, ((10**17 >> 22) + 2) << 22
    sink = Sink()
    router = make(sink)
    routes = {
        here: Route("sandbox.x.events.", 100.0),
        there: Route("sandbox.y.events.", 100.0),
        late: Route("sandbox.z.events.", -1.0),
    }
    router._table.replace(router._table.next_version(), routes)
    shard = (here >> 22) % 2
    assert router.publish_gap({"last_sequence": 7}, shard, 2, "new session") == 1
    ((subject, payload, message_id, _),) = sink.published
    assert (subject, message_id) == ("sandbox.x.events.GATEWAY_GAP", f"new session:{shard}:gap")
    marker = json.loads(payload)
    assert (marker["op"], marker["t"]) == (0, "GATEWAY_GAP")
    assert marker["d"] == {"last_sequence": 7, "guild_ids": [str(here)]}


def test_nothing_goes_to_an_expired_sandbox():
    sink = Sink()
    send(make(sink, now=100.0), "TYPING_START", {"guild_id": str(BOUND)})
    assert sink.published == []


@pytest.mark.parametrize(
    ("data", "own"),
    [
        ({"type": 2, "data": {"name": "sandbox"}}, True),
        ({"type": 4, "data": {"name": "sandbox"}}, True),
        ({"type": 2, "data": {"name": "sandboxes"}}, False),
        ({"type": 3, "data": {"custom_id": "play"}}, False),
    ],
)
def test_own_interactions_stay_here_and_foreign_ones_are_forwarded(data, own):
    sink = Sink()
    router = make(sink)
    send(router, "INTERACTION_CREATE", {"id": "1", "guild_id": str(BOUND), **data})
    assert (sink.published == []) is own
    assert router.counts["own interactions"] == own


def test_an_ephemeral_message_is_routed_by_its_channel_but_not_the_bots_own_replies():
    sink = Sink()
    router = make(sink)
    router._forwarded[7] = "sandbox.x.events."
    ephemeral = {"id": "5", "channel_id": str(CHANNEL), "flags": 64, "interaction_metadata": {"id": "7"}}
    send(router, "MESSAGE_CREATE", ephemeral)
    assert sink.published == []
    send(router, "TYPING_START", {"guild_id": str(BOUND), "channel_id": str(CHANNEL)})
    send(router, "MESSAGE_CREATE", ephemeral)
    assert [subject for subject, *_ in sink.published] == [
        "sandbox.x.events.TYPING_START",
        "sandbox.x.events.MESSAGE_CREATE",
    ]

    own = {"id": "77", "type": 2, "guild_id": str(BOUND), "data": {"name": "sandbox"}}
    send(router, "INTERACTION_CREATE", own)
    send(router, "MESSAGE_CREATE", {**ephemeral, "interaction_metadata": {"id": "77"}})
    assert len(sink.published) == 2
    assert router.counts["own replies"] == 1


@pytest.mark.parametrize(
    "private",
    [
        {"id": "5", "flags": 64, "interaction_metadata": {"id": "8"}},
        {"id": "5", "flags": 64 | 128, "interaction_metadata": {"id": "9"}},
        {"id": "5", "flags": 64},
        {"id": "5", "flags": 64, "guild_id": str(BOUND)},
        {"id": "5"},
    ],
    ids=["another's", "nobody knows", "answers nothing", "names its server", "has no flags"],
)
@pytest.mark.parametrize("name", ["MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE"])
def test_a_private_message_that_answers_nothing_that_was_forwarded_here_is_withheld_and_counted(name, private):
    sink = Sink()
    router = make(sink)
    router._forwarded[8] = "sandbox.y.events."
    send(router, "TYPING_START", {"guild_id": str(BOUND), "channel_id": str(CHANNEL)})
    send(router, name, {**private, "channel_id": str(CHANNEL)})
    assert [subject for subject, *_ in sink.published] == ["sandbox.x.events.TYPING_START"]
    assert (router.counts["withheld"], router._forwarded.withheld) == (1, {"sandbox.x.events.": 1})


def test_what_happens_to_a_private_message_that_was_forwarded_is_forwarded_too():
    sink = Sink()
    router = make(sink)
    router._forwarded[7] = "sandbox.x.events."
    place = {"guild_id": str(BOUND), "channel_id": str(CHANNEL)}
    send(router, "MESSAGE_CREATE", {"id": "5", "flags": 64, "interaction_metadata": {"id": "7"}, **place})
    send(router, "MESSAGE_DELETE", {"id": "5", "channel_id": str(CHANNEL)})
    assert [subject.rpartition(".")[2] for subject, *_ in sink.published] == ["MESSAGE_CREATE", "MESSAGE_DELETE"]


def test_what_is_too_large_is_announced_by_a_stub():
    sink = Sink(limit=1000)
    text = send(make(sink), "GUILD_CREATE", {"id": str(BOUND), "members": ["x" * 2000]})
    ((subject, payload, message_id, headers),) = sink.published
    assert (subject, message_id) == ("sandbox.x.events.GUILD_CREATE", "session:3:7")
    assert headers == {TOO_LARGE_HEADER: str(len(text))}
    stub = json.loads(payload)
    assert (stub["t"], stub["s"], stub["d"]["guild_id"]) == ("GUILD_CREATE", 7, str(BOUND))
    assert stub["too_large"] == {"bytes": len(text)}


def test_unbound_events_are_counted_and_dropped_unless_configured_otherwise():
    sink = Sink()
    router = make(sink)
    send(router, "TYPING_START", {"guild_id": str(UNBOUND)})
    assert (sink.published, sink.plain, router.counts["unbound"]) == ([], [], 1)
    text = send(make(sink, unbound_subject="events"), "TYPING_START", {"guild_id": str(UNBOUND)})
    assert sink.plain == [("events.TYPING_START", text.encode())]


@pytest.mark.parametrize("name", ["A.B", "A B", ">", "*", "", "É", "A\r\nPUB x"])
def test_a_name_that_is_no_subject_token_is_not_published(name):
    sink = Sink()
    router = make(sink, unbound_subject="events")
    for guild_id in (BOUND, UNBOUND):
        send(router, name, {"guild_id": str(guild_id)})
    assert (sink.published, sink.plain) == ([], [])


def test_a_dispatch_without_name_or_sequence_is_malformed():
    router = make(Sink())
    for text in ('{"op":0,"d":{}}', '{"op":0,"t":"TYPING_START","d":{}}'):
        router.route(dispatch.read(text), text, 0, "s")
    assert router.counts["malformed"] == 2
