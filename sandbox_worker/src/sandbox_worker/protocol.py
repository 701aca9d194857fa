"""What the bot and the workers of its sandboxes agree on over NATS: subjects, the consumer, inboxes and headers. Pure.

The bot imports it from here, so that each of them is written down once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import NamedTuple
from uuid import UUID

PROTOCOL_VERSION = 1
"""Raised with every change that a kit or a bot of before would not understand."""

WORKER_CONSUMER = "worker"
"""The one durable consumer of a sandbox's stream, shared by its workers."""

ACK_WAIT_S = 30
"""After which an event that was handed out and is not settled is delivered anew."""

REPLAY_HEARTBEAT_S, EARLIER_REPLAY_HEARTBEAT_S = 0.9, 5.0
"""The server's sign of life on a replay while there is nothing to play; and of a bot that doesn't say what it is."""

MESSAGE_ID_HEADER = "Nats-Msg-Id"
"""By which JetStream knows a repeat: `<session id>:<shard>:<sequence>`."""

TOO_LARGE_HEADER = "Sandbox-Too-Large"
"""On a stub, which has an event's ids only: the size in bytes of what did not fit."""

SENT_AGAIN_HEADER = "Sandbox-Sent-Again"
"""On a copy that somebody has had sent once more: the sequence of the event that it repeats."""

AGENT_HEADER = "Sandbox-Agent"
"""Which kit has published a message, as `agent` says it."""

EVENTS, WORK, REPLAY = "events.", "work.", "replay"
"""What follows a sandbox's prefix: events, the workers' own messages, and requests to play events again."""

ENVIRONMENT_REQUEST = {"environment": True}
"""On the subject of replays: a worker asks for its variables as they are handed out now."""

TOKEN_PLACE = "token-of-the-sandbox"  # noqa: S105
"""Stands in the answer where the sandbox's token does, which the bot doesn't know."""

STATE_REQUEST = {"state": True}
"""On the same subject: a worker asks which stream its sandbox has, and what of it may be delivered a second time."""

GAP_EVENT = "GATEWAY_GAP"
"""No event of Discord's: made by the bot, where events may be missing."""

POSSIBLE_DUPLICATES = "possible-duplicates-up-to"
"""In the metadata of a consumer that was made again: up to this sequence events may have been delivered before."""

ANY_REPLAY_SUBJECT = f"sandbox.*.{REPLAY}"

_ACK_TOKENS = 9
"""Of an acknowledgement in the older format: `$JS.ACK.<stream>.<consumer>` and five numbers."""


def gap(facts: Mapping[str, object], guild_ids: Iterable[int]) -> bytes:
    """The event that says so: what is known of the gap, and the servers that it concerns."""
    concerned = [str(guild_id) for guild_id in guild_ids]
    return json.dumps({"op": 0, "t": GAP_EVENT, "s": None, "d": {**facts, "guild_ids": concerned}}).encode()


@cache
def agent() -> str:
    """Kit and protocol with their versions: the kit's NATS client begins its name with it."""
    return f"sandbox-worker/{version('sandbox-worker')} protocol/{PROTOCOL_VERSION}"


def nats_prefix(sandbox_id: UUID) -> str:
    """What every subject of a sandbox begins with, its dot included."""
    return f"sandbox.{sandbox_id}."


def event_subject_prefix(sandbox_id: UUID) -> str:
    """What the router puts before an event's name."""
    return nats_prefix(sandbox_id) + EVENTS


def event_subjects(sandbox_id: UUID) -> str:
    """The wildcard that the sandbox's stream holds and its consumer filters by."""
    return event_subject_prefix(sandbox_id) + ">"


def work_subjects(sandbox_id: UUID) -> str:
    """The wildcard of what a sandbox's workers tell each other."""
    return f"{nats_prefix(sandbox_id)}{WORK}>"


def replay_subject(sandbox_id: UUID) -> str:
    """Where a sandbox's workers ask the bot to play its events again."""
    return nats_prefix(sandbox_id) + REPLAY


def inbox_prefix(sandbox_id: UUID) -> str:
    """Where the sandbox's workers receive NATS replies; one more token follows, after a dot."""
    return f"_INBOX_{sandbox_id.hex}"


def pull_subject(stream: str) -> str:
    """Where workers ask JetStream for the next events of their consumer."""
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{WORKER_CONSUMER}"


def stream_info_subject(stream: str) -> str:
    """Where workers ask what their stream is like."""
    return f"$JS.API.STREAM.INFO.{stream}"


def consumer_info_subject(stream: str) -> str:
    """Where workers ask what their consumer is like."""
    return f"$JS.API.CONSUMER.INFO.{stream}.{WORKER_CONSUMER}"


def ack_subjects(stream: str, origin: str = "") -> str:
    """The wildcard of where workers tell JetStream what has become of an event.

    With the `origin`, which is domain and account as `<domain or _>.<hash>`, in the format that newer servers write.
    """
    if origin:
        return f"$JS.ACK.{origin}.{stream}.{WORKER_CONSUMER}.*.*.*.*.>"
    return f"$JS.ACK.{stream}.{WORKER_CONSUMER}.*.*.*.*.*"


class Delivery(NamedTuple):
    """What the server says of an event that it hands out, in the subject by which that is acknowledged."""

    stream: str
    consumer: str
    times: int
    stream_sequence: int
    consumer_sequence: int
    stored_ns: int
    """Unix time, in nanoseconds."""


def read_delivery(reply: str) -> Delivery | None:
    """By the subject for the answer, in both formats of the server's; None if it is no acknowledgement."""
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"]:
        return None
    if len(tokens) == _ACK_TOKENS:
        stream, consumer, *numbers = tokens[2:]
    elif len(tokens) >= _ACK_TOKENS + 2:  # domain and account first; more tokens may follow
        stream, consumer, *numbers = tokens[4 : _ACK_TOKENS + 2]
    else:
        return None
    if not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    times, stream_sequence, consumer_sequence, stored_ns, _pending = map(int, numbers)
    return Delivery(stream, consumer, times, stream_sequence, consumer_sequence, stored_ns)
