"""By which clocks the bot decides."""

import ast
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from bot import clock
from bot.clock import StampedClock

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(monkeypatch):
    """What `elapsed` says."""
    machine = SimpleNamespace(elapsed=1000.0)
    monkeypatch.setattr(clock, "elapsed", lambda: machine.elapsed)
    return machine


def test_discords_time_is_unknown_until_it_has_stamped_something(machine):
    assert StampedClock().now() is None


def test_it_goes_by_the_message_that_was_quickest(machine):
    discord = StampedClock()
    for seconds, stamped_at in ((0, 50_000.0), (1, 50_001.9), (1, 50_000.2)):
        machine.elapsed += seconds
        discord.observe(stamped_at)
    assert discord.now() == pytest.approx(50_002.9)
    assert discord.at(machine.elapsed - 30) == pytest.approx(49_972.9)


def test_a_clock_that_drifts_is_seen_to_after_a_while(machine):
    discord = StampedClock()
    for minute in range(60):
        machine.elapsed = 1000 + 61.0 * minute  # runs a second a minute too fast
        discord.observe(50_000 + 60.0 * minute)
    now = discord.now()
    assert now is not None
    assert 0 <= now - (50_000 + 60 * 59) < 25


async def test_an_answer_without_a_date_or_with_none_that_can_be_read_tells_nothing(machine):
    discord, trace = StampedClock(), aiohttp.TraceConfig()
    discord.follow(trace)
    (tell,) = trace.on_request_end
    for headers in ({}, {"Date": ""}, {"Date": "now"}):
        await tell(None, SimpleNamespace(), SimpleNamespace(response=SimpleNamespace(headers=headers)))
        assert discord.now() is None
    right = {"Date": "Thu, 01 Jan 1970 01:00:00 GMT"}
    await tell(None, SimpleNamespace(), SimpleNamespace(response=SimpleNamespace(headers=right)))
    assert discord.now() == 3600


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the monotonic clock goes on while the machine sleeps")
def test_time_that_a_laptop_sleeps_has_elapsed_too():
    assert clock.elapsed() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)
    assert clock._CLOCK == time.CLOCK_BOOTTIME


SHOWN = {
    "bot/cli/check/time_gap.py": "how far clocks are apart, to a person",
    "bot/health/readyz.py": "since when something is wrong, to a person",
    "bot/supervisor.py": "since when a part is in its state",
    "bot/cli/rendering.py": "how long is left, to a person",
    "bot/demo/transcript.py": "how long is left, to a person",
    "bot/relay/commands.py": "an id like Discord's, of which only the order counts",
    "bot/relay/gateway/sessions.py": "since when a bot is connected, to a person",
    "bot/stores/embedded/append_only.py": "the name of a file that is kept",
    "bot/certificates.py": "how long a certificate is valid, to a person",
    "sandbox_worker/src/sandbox_worker/certificate_parts.py": "from when until when one is valid, by whoever reads it",
    "bot/routing/reconnects.py": "until when there is a pause, to a person",
    "bot/routing/connecting.py": "when a session was seen, before Discord has told the time",
    "bot/routing/sessions.py": "when a session was seen, before Discord has told the time",
    "bot/routing/tap.py": "when a gap has ended, if Discord has not told the time",
    "sandbox_worker/src/sandbox_worker/cli.py": "which events are meant, by the clock of who asks",
    "sandbox_worker/src/sandbox_worker/tail.py": "from when on to read, by the clock of who asks",
}
"""Where the wall clock is read, which decides nothing: what for."""


def test_the_wall_clock_is_read_only_where_somebody_is_shown_a_time():
    files = [*(ROOT / "bot").rglob("*.py"), *(ROOT / "sandbox_worker/src").rglob("*.py")]
    assert {str(path.relative_to(ROOT)) for path in files if reads_wall_clock(path)} == set(SHOWN)


WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "utils.utcnow"}


def reads_wall_clock(path):
    names = {
        f"{ast.unparse(node.value)}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    return bool(
        names & {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "utils.utcnow"}
    )
