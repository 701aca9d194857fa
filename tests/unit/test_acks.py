import itertools
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from nats.protocol.parser import Parser

from bot.routing.acks import AckReader

INBOX = "_INBOX.abc."


def plain(number):
    return _reply(number, b'{"stream":"S","seq":%d}' % number)


def duplicate(number):
    return _reply(number, b'{"stream":"S","seq":1,"duplicate":true}')


def _reply(number, body):
    return b"MSG %b%d 7 %d\r\n%b\r\n" % (INBOX.encode(), number, len(body), body)


def no_responders(number):
    return b"HMSG %b%d 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % (INBOX.encode(), number)


PIECES = {
    "plain": plain,
    "duplicate": duplicate,
    "no responders": no_responders,
    "other": lambda number: b"MSG other 8 4\r\n%04d\r\n" % number,
    "ping": lambda number: b"PING\r\n",
}


def reader():
    """What an ack reader and nats-py's parser behind it make of what they get, in order."""
    seen: list[tuple[Any, ...]] = []

    async def message(sid, subject, reply, data, headers):
        name = "other" if sid == 8 else "no responders" if headers else "late"
        seen.append((name, subject, data))

    async def ping():
        seen.append(("ping",))

    parser = Parser(SimpleNamespace(_process_msg=message, _process_ping=ping))
    client = SimpleNamespace(_ps=parser)
    acks = AckReader(
        client,
        INBOX,
        lambda numbers: seen.extend(("plain", number) for number in numbers),
        lambda number, _: seen.append(("odd", number)),
    )
    return parser, acks, seen


def numbers(seen):
    """Which numbers were answered, by whichever way."""
    return [int(entry[1][len(INBOX) :]) if isinstance(entry[1], bytes) else entry[1] for entry in seen if entry[1:]]


@given(st.lists(st.sampled_from(sorted(PIECES)), max_size=30), st.lists(st.integers(1, 200), min_size=1))
async def test_nothing_is_lost_or_doubled_however_the_bytes_are_cut(kinds, cuts):
    stream = b"".join(PIECES[kind](number) for number, kind in enumerate(kinds))
    parser, _, seen = reader()
    for size in itertools.cycle(cuts):
        if not stream:
            break
        await parser.parse(stream[:size])
        stream = stream[size:]
    kept = [entry for entry in seen if entry[0] not in ("other", "ping")]
    assert sorted(numbers(kept)) == [number for number, kind in enumerate(kinds) if kind not in ("other", "ping")]
    assert sum(entry[0] == "ping" for entry in seen) == kinds.count("ping")
    assert [entry[2] for entry in seen if entry[0] == "other"] == [
        b"%04d" % number for number, kind in enumerate(kinds) if kind == "other"
    ]


async def test_a_run_of_acknowledgements_never_reaches_nats_py():
    parser, _, seen = reader()
    stream = b"".join(plain(number) for number in range(1000))
    for start in range(0, len(stream), 333):
        await parser.parse(stream[start : start + 333])
    assert seen == [("plain", number) for number in range(1000)]


async def test_a_removed_reader_reads_nothing_more():
    parser, acks, seen = reader()
    acks.remove()
    await parser.parse(plain(1))
    assert seen == [("late", f"{INBOX}1".encode(), b'{"stream":"S","seq":1}')]
