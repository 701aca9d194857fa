"""Every name that a sandbox owns. Those that its workers have to build too are `sandbox_worker.protocol`'s.

The first eight hexadecimal digits of the id name what other PostgreSQL roles may list (schema, stream);
the whole id appears only in Redis keys and NATS subjects, where it is the part that cannot be guessed.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from uuid import UUID

from bot.errors import InvalidInput
from bot.i18n import Translatable
from sandbox_worker import protocol

SCHEMA_PREFIX = "sandbox_"
STREAM_PREFIX = "SANDBOX_"

REDIS_DATABASES_KEY = "sandbox-bot:databases"
"""Where Redis keeps which of its databases is which sandbox's."""

HEALTH_KEY = "sandbox-bot:health"
"""What every bot writes to see whether Redis takes it."""
HEALTH_STREAM, HEALTH_SUBJECT = "SANDBOX_BOT_HEALTH", "sandbox-bot.health"
"""Where every bot publishes to see whether JetStream acknowledges it."""

LAST_CHANGES_STREAM, ANY_LAST_CHANGE_SUBJECT = "SANDBOX_BOT_LAST_CHANGES", "sandbox-bot.last-change.*"
"""Where NATS keeps which change of PostgreSQL's was the last, one of each installation."""

SHORTEST_NAME, LONGEST_NAME = 3, 40
NAME_PATTERN = re.compile(rf"[a-z0-9-]{{{SHORTEST_NAME},{LONGEST_NAME}}}")
SNOWFLAKE_PATTERN = re.compile(r"[0-9]{17,20}")
_RANDOM = 6
_MAX_SNOWFLAKE = 2**64 - 1
_WRITTEN_SHORT_ID, _UUID_DIGITS = re.compile(r"[0-9a-f]{8}"), re.compile(r"[0-9a-f]{32}")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_WRITTEN_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

WORKER_CONSUMER = protocol.WORKER_CONSUMER
STREAM_INFO, CONSUMER_INFO = "stream", "consumer"
ANY_INFO_SUBJECT = "sandbox-info.*.*"
ANY_REPLAY_SUBJECT = protocol.ANY_REPLAY_SUBJECT
nats_prefix = protocol.nats_prefix
event_subject_prefix = protocol.event_subject_prefix
event_subjects = protocol.event_subjects
work_subjects = protocol.work_subjects
replay_subject = protocol.replay_subject
inbox_prefix = protocol.inbox_prefix


def short_id(sandbox_id: UUID) -> str:
    """The first eight hexadecimal digits: what people are shown, and what schema and stream are named by."""
    return sandbox_id.hex[:8]


def looks_like_id(name: str) -> bool:
    """Whether it may be taken for a sandbox's short id, or for its whole one, with dashes anywhere or none."""
    return bool(_WRITTEN_SHORT_ID.fullmatch(name) or _UUID_DIGITS.fullmatch(name.replace("-", "")))


def schema_name(sandbox_id: UUID) -> str:
    """The PostgreSQL schema that holds the sandbox's tables."""
    return SCHEMA_PREFIX + short_id(sandbox_id)


def redis_prefix(sandbox_id: UUID) -> str:
    """What every key and channel of the sandbox begins with."""
    return f"sandbox:{sandbox_id}:"


def redis_user(sandbox_id: UUID) -> str:
    """The ACL user that its workers log in as."""
    return f"sandbox-{sandbox_id}"


def sandbox_of_redis_user(user: str) -> UUID | None:
    """None for a user that is not a sandbox's."""
    return _sandbox_named(user, redis_user)


def sandbox_of_redis_prefix(prefix: str) -> UUID | None:
    """None for a prefix that is not a sandbox's."""
    return _sandbox_named(prefix, redis_prefix)


def sandbox_of_event_subjects(subjects: str) -> UUID | None:
    """None for subjects that are not all of a sandbox's events."""
    return _sandbox_named(subjects, event_subjects)


def _sandbox_named(name: str, name_of: Callable[[UUID], str]) -> UUID | None:
    """Strictly as the names are built: what only looks alike is somebody else's."""
    found = _WRITTEN_UUID.search(name)
    sandbox_id = UUID(found[0]) if found else None
    return sandbox_id if sandbox_id and name == name_of(sandbox_id) else None


def role_name(sandbox_id: UUID) -> str:
    """The PostgreSQL login, named like the schema."""
    return schema_name(sandbox_id)


def replay_delivery(inbox: str) -> str:
    """What the bot's account calls a worker's inbox of two tokens, and the sandboxes' account imports as that."""
    return f"sandbox-replay.{inbox}"


def sandbox_of_subject(subject: str) -> UUID:
    """Whose subject it is, or whose prefix of subjects; `ValueError` if it is nobody's."""
    return UUID(subject.split(".")[1])


def gateway_session_key(application_id: int, shard_count: int, shard_id: int) -> str:
    """Where Redis keeps how far a shard has come."""
    return f"sandbox-bot:session:{application_id}:{shard_count}:{shard_id}"


def gateway_epoch_key(application_id: int, shard_count: int, shard_id: int) -> str:
    """Where Redis keeps whose the shard's session is: the epoch of the lease under which it was saved."""
    return f"sandbox-bot:epoch:{application_id}:{shard_count}:{shard_id}"


def forwarded_interaction_key(interaction_id: int) -> str:
    """Where Redis keeps to which sandbox an interaction went."""
    return f"sandbox-bot:forwarded:{interaction_id}"


def own_message_key(message_id: int) -> str:
    """Where Redis keeps that a private answer is the bot's own."""
    return f"sandbox-bot:own-message:{message_id}"


def acknowledged_key(sandbox_id: UUID) -> str:
    """Where Redis keeps how much of a sandbox's stream its workers have acknowledged."""
    return f"sandbox-bot:acknowledged:{sandbox_id}"


def relay_session_key(session_id: str) -> str:
    """Where Redis keeps what a session of the relay needs to be resumed."""
    return f"sandbox-bot:relay-session:{session_id}"


def relay_interaction_key(digest: str) -> str:
    """Where Redis keeps which sandbox was sent the interaction with a token of that hash."""
    return f"sandbox-bot:relay-interaction:{digest}"


def relay_position_key(sandbox_id: UUID, shard_count: int, shard: int) -> str:
    """Where Redis keeps how far a sandbox's bot on the relay has come."""
    return f"sandbox-bot:relay-position:{sandbox_id}:{shard_count}:{shard}"


def relay_client_key(client_id: str) -> str:
    """Where Redis keeps who is connected to the relay, and how far they have come."""
    return f"sandbox-bot:relay-client:{client_id}"


def relay_records_key(sandbox_id: UUID) -> str:
    """Where Redis keeps which keys the relay has made for a sandbox."""
    return f"sandbox-bot:relay-records:{sandbox_id}"


def relays_key(database: str) -> str:
    """Where Redis keeps the addresses at which relays of that database's bots serve."""
    return f"sandbox-bot:relays:{database}"


def relay_made_key(sandbox_id: UUID) -> str:
    """Where Redis keeps which messages a sandbox's bot has made, and which interactions it has answered."""
    return f"sandbox-bot:relay-made:{sandbox_id}"


def relay_direct_channel_key(sandbox_id: UUID, channel_id: int) -> str:
    """Where Redis keeps to whom a direct channel leads that a sandbox's bot has opened."""
    return f"sandbox-bot:relay-direct:{sandbox_id}:{channel_id}"


def last_change_key(installation: UUID) -> str:
    """Where Redis keeps which change of PostgreSQL's was the last."""
    return f"sandbox-bot:last-change:{installation}"


def last_change_subject(installation: UUID) -> str:
    """By which NATS keeps the same."""
    return ANY_LAST_CHANGE_SUBJECT.replace("*", str(installation))


def stream_name(sandbox_id: UUID) -> str:
    """The JetStream stream of its events."""
    return STREAM_PREFIX + short_id(sandbox_id)


def schema_of_stream(stream: str) -> str | None:
    """The schema of the sandbox whose stream it is; None if it is no sandbox's."""
    short = stream.removeprefix(STREAM_PREFIX)
    return SCHEMA_PREFIX + short if short != stream and _WRITTEN_SHORT_ID.fullmatch(short) else None


def info_subject(stream: str, what: str) -> str:
    """Where the workers' account leads questions after a stream, or what is asked of it."""
    return f"sandbox-info.{stream}.{what}"


def info_subjects(sandbox_id: UUID) -> str:
    """The wildcard of all that its workers ask after their stream."""
    return info_subject(stream_name(sandbox_id), "*")


def is_inbox(subject: str, sandbox_id: UUID) -> bool:
    """Whether only the sandbox's workers can listen there; a wildcard is nowhere."""
    return subject.startswith(inbox_prefix(sandbox_id) + ".") and _SUBJECT.fullmatch(subject) is not None


def sandbox_of_inbox(subject: str) -> UUID | None:
    """None for what is not an inbox of a sandbox's workers."""
    hexadecimal = subject.partition(".")[0].rpartition("_")[2]
    sandbox_id = UUID(hexadecimal) if _UUID_DIGITS.fullmatch(hexadecimal) else None
    return sandbox_id if sandbox_id and is_inbox(subject, sandbox_id) else None


def random_suffix(length: int = _RANDOM) -> str:
    """Letters a to z and digits, from the system's secure source."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(length))


def default_name(owner: str, least: int = SHORTEST_NAME, most: int = LONGEST_NAME) -> str:
    """`<owner>-<6 random>`, whatever the owner's name is made of, with more that is random if that is too short."""
    stem = re.sub(r"[^a-z0-9]+", "-", owner.lower()).strip("-") or "sandbox"
    stem = stem[: most - _RANDOM - 1]
    name = f"{stem}-{random_suffix(max(_RANDOM, least - len(stem) - 1))}"
    return default_name("sandbox", least, most) if looks_like_id(name) else name


def check_name(name: str, least: int = SHORTEST_NAME, most: int = LONGEST_NAME) -> str:
    """The name as it is stored; `InvalidInput` if it is none, not of such a length, or looks like an id."""
    name = name.strip().lower()
    if not NAME_PATTERN.fullmatch(name) or not least <= len(name) <= most:
        raise InvalidInput(
            "A name has {least} to {most} characters: a to z, 0 to 9 and dashes.", least=least, most=most
        )
    if looks_like_id(name):
        raise InvalidInput(
            "“{name}” could be the id of another sandbox. Choose a name with a letter from g to z.", name=name
        )
    return name


def check_snowflake(value: int | str, what: str) -> int:
    """A Discord id as an integer; `InvalidInput` names `what` it should have been."""
    text = str(value).strip()
    if not SNOWFLAKE_PATTERN.fullmatch(text) or int(text) > _MAX_SNOWFLAKE:
        raise InvalidInput(
            "A {what} is a number of 17 to 20 digits. Copy it from Discord's “Copy ID”.", what=Translatable(what)
        )
    return int(text)
