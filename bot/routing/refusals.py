"""What NATS refuses for good: how that is found out, and told in the log, many at a time."""

from __future__ import annotations

import re
import time
from collections import Counter

from loguru import logger
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from bot import constants
from bot.stores.nats_client import FAILURES

_FORBIDDEN = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)


async def find_refusal(client: Client, subject: str, within_s: float) -> str | None:
    """Why nothing on the subject will ever be acknowledged; None if it may be yet. One of `FAILURES` if JetStream does
    not say: that is no refusal.

    To what it does not permit NATS answers with an error of the connection, which names the subject and no message; and
    to what lies in no stream it answers nothing if anybody else listens there. That nobody does is no proof either: so
    it is of every stream while JetStream has turned itself off, or has just lost a leader.
    """
    forbidden = _FORBIDDEN.search(str(client.last_error))
    if forbidden and forbidden[1].lower() == subject.lower():
        return "not permitted"
    try:
        await client.jetstream(timeout=within_s).find_stream_name_by_subject(subject)
    except NotFoundError:
        return "no such stream"
    return None


async def has_leader(client: Client, subject: str, within_s: float) -> bool:
    """Whether the stream that holds the subject says anything. One of `FAILURES` if JetStream names none."""
    jetstream = client.jetstream(timeout=within_s)
    stream = await jetstream.find_stream_name_by_subject(subject)
    try:
        await jetstream.stream_info(stream)
    except FAILURES:
        return False
    return True


class RefusalLog:
    """Counts refused events by reason and stream. The first is logged at once, what follows together, at most once a
    minute."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._prefixes: Counter[str] = Counter()
        self._logged_at = float("-inf")

    def add(self, reason: str, prefix: str) -> None:
        """One event was refused. `prefix`: of the subjects of its stream."""
        self._reasons[reason] += 1
        self._prefixes[prefix] += 1
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Log what has been counted, if the last line is old enough."""
        if self._reasons and time.monotonic() - self._logged_at > constants.REFUSALS_LOGGED_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Log what has been counted now; nothing if nothing was refused."""
        if self._reasons:
            subjects = {f"{prefix}.>": n for prefix, n in self._prefixes.most_common(constants.REFUSED_STREAMS_NAMED)}
            logger.warning("events were refused by NATS", reasons=dict(self._reasons), subjects=subjects)
            self._reasons.clear()
            self._prefixes.clear()
            self._logged_at = time.monotonic()
