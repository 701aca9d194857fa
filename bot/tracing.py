"""Traces: what an event's header says of the trace that it belongs to, and spans where OpenTelemetry traces the bot.

Without its package, or without an SDK that the process was started with, there are no spans and nothing is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, cycle
from secrets import randbelow, token_hex

from sandbox_worker.protocol import TRACE_HEADER

try:
    from opentelemetry import context, trace
except ImportError:  # the extra `otel`
    trace = None  # type: ignore[assignment]

_DRAWN = 1024
"""How many numbers are drawn for new traces: to draw one for each event takes longer than all else of its header."""


def trace_headers() -> Callable[[], str]:
    """What makes the line of an event's header (W3C Trace Context): of the span that is active, else of a trace that
    begins there."""
    begin = _new_traces().__next__

    def take_over() -> str:
        active = trace.get_current_span().get_span_context()
        if not active.is_valid:
            return begin()
        return f"{TRACE_HEADER}: 00-{active.trace_id:032x}-{active.span_id:016x}-{active.trace_flags:02x}\r\n"

    return take_over if is_traced() else begin


def _new_traces() -> Iterator[str]:
    """The first half of a trace's number counts, from where no other process does; the other one, by which samplers go,
    is drawn, and comes again beside another count."""
    drawn = [f"{token_hex(8)}-{token_hex(8)}-01\r\n" for _ in range(_DRAWN)]
    first = 10**15 + randbelow(8 * 10**15)  # 16 digits, in decimals because that is faster
    for counted, rest in zip(count(first), cycle(drawn), strict=False):
        yield f"{TRACE_HEADER}: 00-{counted}{rest}"


def is_traced() -> bool:
    """Whether the process was started with an SDK of OpenTelemetry."""
    return trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def span(name: str, **attributes: str) -> Iterator[None]:
    """What is done within, as a span of the one that is active."""
    if not is_traced():
        yield
        return
    tracer = trace.get_tracer("bot")
    with tracer.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield
        except Exception as error:  # its words may hold what nobody else is to read, and spans are blotted by nobody
            begun.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
            raise


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
