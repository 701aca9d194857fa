"""Every metric, as a page.

    python -m tools.metrics_table

Writes `docs/metrics.md` anew. A test fails as long as the page and the table disagree.
"""

from __future__ import annotations

from pathlib import Path

from bot.metrics import TABLE, Instrument

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

_BEGINNING = """\
# Metrics

A bot tells its metrics at `/metrics`, for Prometheus, as its text format or OpenMetrics, where `[health] listen` says
([`health.md`](health.md)). It asks no store for them: what PostgreSQL counts is read every ten seconds, and not shown
while PostgreSQL is away; whoever asks again within a second is told the same. A standby has them too; a relay in a
process of its own tells those of the process and of the relay. Labels have values from closed sets: no sandbox, server
or person is named. A counter begins at 0 with its process, those of the relay with the relay.

Names that begin with `discord_`, and `logging_total`, are those of
discord-ext-prometheus, so that its dashboards work; nothing is told
of text commands, which this bot has none of. `process_` and `python_` are the Prometheus client's own.

| metric | kind | labels | what it says |
|---|---|---|---|
"""


def page() -> str:
    """The whole page, as it should be."""
    return _BEGINNING + "".join(map(_line, TABLE.values()))


def _line(instrument: Instrument) -> str:
    labels = ", ".join(f"`{label}`" for label in instrument.labels)
    return f"| `{instrument.name}` | {instrument.kind} | {labels} | {instrument.help} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
