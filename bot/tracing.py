"""Traces: what an event's header says of the trace that it belongs to, and spans where OpenTelemetry traces the bot.

Without its package, or without an SDK that the process was started with, there are no spans and nothing is asked of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

try:
    from opentelemetry import context, trace
except ImportError:  # the extra `otel`
    trace = None  # type: ignore[assignment]

_SCATTER, _WORD = 0x9E3779B97F4A7C15, 2**64 - 1
"""An odd factor gives each number another one of 64 bits, which look drawn: samplers go by them."""


def traceparents() -> Callable[[int], str]:
    """The header (W3C Trace Context) of the event with a number: of the span that is active, else of a trace that the
    event begins. Each call has numbers of its own."""
    # Half of the trace's id is drawn once and not for each event, which would cost as much as all else of its header.
    start, end = f"00-{_random()}", f"-{_random()}-01"

    def begin(number: int) -> str:
        return f"{start}{number * _SCATTER & _WORD:016x}{end}"

    def take_over(number: int) -> str:
        active = trace.get_current_span().get_span_context()
        if not active.is_valid:
            return begin(number)
        return f"00-{active.trace_id:032x}-{active.span_id:016x}-{active.trace_flags:02x}"

    return take_over if is_traced() else begin


def is_traced() -> bool:
    """Whether the process was started with an SDK of OpenTelemetry."""
    return trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def span(name: str, **attributes: str) -> Iterator[None]:
    """What is done within, as a span of the one that is active."""
    if not is_traced():
        yield
        return
    with trace.get_tracer("bot").start_as_current_span(name, attributes=attributes):
        yield


def begin_span(name: str, **attributes: str) -> Callable[[str], None]:
    """One that lasts from here on in the running task, which never leaves it; called with its outcome it ends."""
    if not is_traced():
        return lambda _: None
    begun = trace.get_tracer("bot").start_span(name, attributes=attributes)
    context.attach(trace.set_span_in_context(begun))

    def end(outcome: str) -> None:
        begun.set_attribute("outcome", outcome)
        begun.end()

    return end


def _random() -> str:
    """64 bits, not all of them 0."""
    return f"{secrets.randbelow(_WORD) + 1:016x}"
