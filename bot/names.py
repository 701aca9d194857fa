"""Every name that a sandbox owns, built in this one place.

The first eight hexadecimal digits of the id name what other PostgreSQL roles may list (schema, stream);
the whole id appears only in Redis keys and NATS subjects, where it is the part that cannot be guessed.
"""

from __future__ import annotations

import re
import secrets
import string
from uuid import UUID

from bot.errors import InvalidInput
from bot.i18n import Translatable

SCHEMA_PREFIX = "sandbox_"
ROUTES_CHANNEL = "sandbox_routes"
"""The PostgreSQL channel that hints at a changed route."""

WORKER_CONSUMER = "worker"
"""The one durable consumer of a sandbox's stream, shared by its workers."""

SHORTEST_NAME, LONGEST_NAME = 3, 40
NAME_PATTERN = re.compile(rf"[a-z0-9-]{{{SHORTEST_NAME},{LONGEST_NAME}}}")
SNOWFLAKE_PATTERN = re.compile(r"[0-9]{17,20}")
_RANDOM = 6
_MAX_SNOWFLAKE = 2**64 - 1


def short_id(sandbox_id: UUID) -> str:
    """The first eight hexadecimal digits: what people are shown, and what schema and stream are named by."""
    return sandbox_id.hex[:8]


def schema_name(sandbox_id: UUID) -> str:
    return SCHEMA_PREFIX + short_id(sandbox_id)


def redis_prefix(sandbox_id: UUID) -> str:
    return f"sandbox:{sandbox_id}:"


def redis_user(sandbox_id: UUID) -> str:
    return f"sandbox-{sandbox_id}"


def sandbox_of_redis_user(user: str) -> UUID | None:
    """None for a user that is not a sandbox's."""
    return _named_in(user, "sandbox-", "")


def sandbox_of_redis_prefix(prefix: str) -> UUID | None:
    """None for a prefix that is not a sandbox's."""
    return _named_in(prefix, "sandbox:", ":")


def sandbox_of_event_subjects(subjects: str) -> UUID | None:
    """None for subjects that are not all of a sandbox's events."""
    return _named_in(subjects, "sandbox.", ".events.>")


def _named_in(name: str, before: str, after: str) -> UUID | None:
    """Strictly as the names are built here: UUID() itself reads other spellings too."""
    found = name.removeprefix(before).removesuffix(after)
    try:
        sandbox_id = UUID(found)
    except ValueError:
        return None
    return sandbox_id if name == f"{before}{sandbox_id}{after}" else None


def role_name(sandbox_id: UUID) -> str:
    """The PostgreSQL login, named like the schema."""
    return schema_name(sandbox_id)


def inbox_prefix(sandbox_id: UUID) -> str:
    """Where the sandbox's workers receive NATS replies."""
    return f"_INBOX_{sandbox_id.hex}"


def work_subjects(sandbox_id: UUID) -> str:
    """The wildcard of what a sandbox's workers tell each other."""
    return f"sandbox.{sandbox_id}.work.>"


ANY_REPLAY_SUBJECT = "sandbox.*.replay"


def replay_subject(sandbox_id: UUID) -> str:
    """Where a sandbox's workers ask the bot to play its events again."""
    return f"sandbox.{sandbox_id}.replay"


def replay_delivery(inbox: str) -> str:
    """What the bot's account calls a worker's inbox of two tokens, and the sandboxes' account imports as that."""
    return f"sandbox-replay.{inbox}"


def nats_prefix(sandbox_id: UUID) -> str:
    return f"sandbox.{sandbox_id}."


def event_subject_prefix(sandbox_id: UUID) -> str:
    """What the router puts before an event's name."""
    return f"sandbox.{sandbox_id}.events."


def sandbox_of_subject(subject: str) -> UUID:
    """Whose subject it is, or whose prefix of subjects; `ValueError` if it is nobody's."""
    return UUID(subject.split(".")[1])


def event_subjects(sandbox_id: UUID) -> str:
    """The wildcard that the sandbox's stream holds and its consumer filters by."""
    return event_subject_prefix(sandbox_id) + ">"


def gateway_session_key(application_id: int, shard_count: int, shard_id: int) -> str:
    """Where Redis keeps how far a shard has come."""
    return f"sandbox-bot:session:{application_id}:{shard_count}:{shard_id}"


def stream_name(sandbox_id: UUID) -> str:
    return f"SANDBOX_{short_id(sandbox_id)}"


def random_suffix(length: int = _RANDOM) -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(length))


def default_name(owner: str, least: int = SHORTEST_NAME, most: int = LONGEST_NAME) -> str:
    """`<owner>-<6 random>`, whatever the owner's name is made of, with more that is random if that is too short."""
    stem = re.sub(r"[^a-z0-9]+", "-", owner.lower()).strip("-") or "sandbox"
    stem = stem[: most - _RANDOM - 1]
    return f"{stem}-{random_suffix(max(_RANDOM, least - len(stem) - 1))}"


def check_name(name: str, least: int = SHORTEST_NAME, most: int = LONGEST_NAME) -> str:
    """The name as it is stored; `InvalidInput` if it is none, or not of such a length."""
    name = name.strip().lower()
    if not NAME_PATTERN.fullmatch(name) or not least <= len(name) <= most:
        raise InvalidInput(
            "A name has {least} to {most} characters: a to z, 0 to 9 and dashes.", least=least, most=most
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
