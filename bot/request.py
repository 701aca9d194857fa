"""What somebody who waits has asked for: how far the work for it has come, and for which service it waits.

The task that answers an interaction has one, and so have the tasks that it starts. Work that nobody waits for has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Request:
    """One interaction. Discord may send it again, with the same id, also to another process."""

    id: int
    """Of the interaction."""
    user_id: int
    has_begun: bool = False
    """It has begun to change something, so that it must not be cut off any more."""
    _awaited: list[str] = field(default_factory=list)

    @property
    def awaited(self) -> str | None:
        """The service that it has been waiting for the longest; None if it waits for none."""
        return self._awaited[0] if self._awaited else None


_current: ContextVar[Request | None] = ContextVar("request", default=None)


def current() -> Request | None:
    """The request that the running task works for; None if nobody waits for its work."""
    return _current.get()


def serve(request: Request) -> None:
    """From now on this task and those that it starts work for that request."""
    _current.set(request)


def begin_change() -> None:
    """From here on the work is carried through, however long it takes."""
    if (request := current()) is not None:
        request.has_begun = True


@contextmanager
def waiting_for(service: str) -> Iterator[None]:
    """Within, the request waits for that service: if it takes too long, the user is told its name."""
    request = current()
    if request is None:
        yield
        return
    request._awaited.append(service)
    try:
        yield
    finally:
        request._awaited.remove(service)
