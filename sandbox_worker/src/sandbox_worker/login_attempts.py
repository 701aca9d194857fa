"""How long a login to NATS is tried again, and after which pauses."""

from __future__ import annotations

import asyncio
import time

from sandbox_worker import constants


class LoginAttempts:
    """Those of one reconnection."""

    def __init__(self) -> None:
        self._pause_s = constants.FIRST_RECONNECT_DELAY_S
        self._refused_since: float | None = None

    def note(self, error: Exception, took_s: float) -> None:
        """One more has failed."""
        if is_refusal(error) and took_s < constants.REFUSED_WITHIN_S:
            self._refused_since = self._refused_since or time.monotonic()
        else:
            self._refused_since = None

    @property
    def are_refused(self) -> bool:
        """Whether the bot has said no for long enough."""
        since = self._refused_since
        return since is not None and time.monotonic() - since > constants.REFUSED_FOR_S

    async def pause(self) -> None:
        """Longer each time."""
        await asyncio.sleep(self._pause_s)
        # A refusal is asked again often enough to be sure of it when its time is over.
        longest = constants.LONGEST_RECONNECT_DELAY_S if self._refused_since is None else constants.REFUSED_FOR_S / 8
        self._pause_s = min(2 * self._pause_s, longest)


def is_refusal(error: BaseException) -> bool:
    """By the server's words, for nats-py has no error of its own for them."""
    text = str(error).lower()
    return "authorization violation" in text or "authentication expired" in text


def is_full(error: BaseException) -> bool:
    """Whether the server sends the worker away for there are too many; by its words, too."""
    return "maximum account active connections exceeded" in str(error).lower()
