"""Where an event, a command and what it asks the stores belong in a trace."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bot import request, tracing
from bot.request import Request


@pytest.fixture
def spans(monkeypatch):
    """The process is traced; what has ended, by name."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    provider.shutdown()


def context_of(header):
    """As any library reads it."""
    name, value = header.removesuffix("\r\n").split(": ")
    carried = TraceContextTextMapPropagator().extract({name: value})
    return trace.get_current_span(carried).get_span_context()


def test_each_event_begins_a_trace_that_every_library_reads():
    first, second = tracing.trace_headers(), tracing.trace_headers()
    contexts = [context_of(begin()) for begin in (first, second) for _ in range(1000)]
    assert all(context.is_valid and context.trace_flags.sampled for context in contexts)
    assert len({context.trace_id for context in contexts}) == 2000


def test_an_event_is_of_the_span_that_is_active(spans):
    header = tracing.trace_headers()
    with tracing.span("routing"):
        context = context_of(header())
    routing = spans()["routing"].context
    assert (context.trace_id, context.span_id) == (routing.trace_id, routing.span_id)
    assert context_of(header()).trace_id != routing.trace_id


def test_a_failure_is_told_without_its_words(spans):
    with pytest.raises(ValueError, match="hunter22"), tracing.span("PostgreSQL"):
        raise ValueError("hunter22")
    failed = spans()["PostgreSQL"]
    assert (failed.status.status_code, failed.status.description) == (trace.StatusCode.ERROR, "ValueError")
    assert failed.events == ()


async def test_what_a_command_asks_the_stores_is_within_its_span(spans):
    async def command():
        end = tracing.begin_span("sandbox create")
        request.serve(Request(1, 2))
        with request.waiting_for("PostgreSQL"):
            pass
        end("answered")

    await asyncio.create_task(command())
    assert not trace.get_current_span().get_span_context().is_valid  # it was its task's alone
    found = spans()
    assert found["PostgreSQL"].parent.span_id == found["sandbox create"].context.span_id
    assert found["sandbox create"].attributes["outcome"] == "answered"


@pytest.mark.parametrize("installed", [True, False])
def test_without_an_sdk_there_is_nothing(monkeypatch, installed):
    if not installed:
        monkeypatch.setattr(tracing, "trace", None)
    assert not tracing.is_traced()
    with tracing.span("nothing"):
        tracing.begin_span("nothing")("answered")
    assert context_of(tracing.trace_headers()()).is_valid
