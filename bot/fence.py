"""Work under a lease looks, before each step that changes something, whether the lease is still its process's.

A process that stood still finds out so that another one has it by now. Work that needs no lease is never stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


class LeaseLost(Exception):
    """Another process may have the lease that this work was begun under."""


_may_act: ContextVar[Callable[[], bool] | None] = ContextVar("may_act", default=None)


def put_up(may_act: Callable[[], bool]) -> None:
    """From now on this task, and those that it starts, change something only as long as they may."""
    _may_act.set(may_act)


def require() -> None:
    """Said immediately before a step that changes something; `LeaseLost` if this task may not any more."""
    may_act = _may_act.get()
    if may_act is not None and not may_act():
        raise LeaseLost
