"""What somebody who waits has asked for: how far the work for it has come, and for which service it waits.

The task that answers an interaction has one, and so have the tasks that it starts. Work that nobody waits for has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from bot import tracing


@dataclass(eq=False, slots=True)
class Request:
    """One interaction. Discord may send it again, with the same id, also to another process."""

    id: int
    """Of the interaction."""
    has_begun: bool = False
    """It has begun to change something, so that it must not be cut off any more."""
    behind: set[str] = field(default_factory=set)
    """Services that have not followed the change yet; they do so without the request."""
    _awaited: list[str] = field(default_factory=list)

    @property
    def awaited(self) -> str | None:
        """The service that it has been waiting for the longest; None if it waits for none."""
        return self._awaited[0] if self._awaited else None


_current: ContextVar[Request | None] = ContextVar("request", default=None)
_is_late: ContextVar[bool] = ContextVar("is_late", default=False)


def current() -> Request | None:
    """The request that the running task works for; None if nobody waits for its work."""
    return _current.get()


def serve(request: Request) -> None:
    """From now on this task and those that it starts work for that request."""
    _current.set(request)


def mark_late(is_late: bool) -> None:
    """Said by whoever dispatches an interaction, of the task that is started for it: it is older than Discord lets a
    first answer be. Somebody may have answered it in time, and died."""
    _is_late.set(is_late)


def is_late() -> bool:
    """Whether Discord has to be asked first if it still takes an answer."""
    return _is_late.get()


def begin_change() -> None:
    """From here on the work is carried through, however long it takes."""
    if (request := current()) is not None:
        request.has_begun = True


def note_behind(service: str) -> None:
    """The change is committed, and that service could not be told yet."""
    if (request := current()) is not None:
        request.behind.add(service)


@contextmanager
def waiting_for(service: str) -> Iterator[None]:
    """Within, the request waits for that service: if it takes too long, the user is told its name."""
    request = current()
    if request is None:
        yield
        return
    request._awaited.append(service)
    try:
        with tracing.span(service):
            yield
    finally:
        request._awaited.remove(service)
