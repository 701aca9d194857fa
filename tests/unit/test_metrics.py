"""The table of metrics and its page; each metric is moved in `tests/e2e/test_metrics.py` and beside what it counts."""

import re

from bot.metrics import TABLE, Kind
from tools.metrics_table import PAGE, page


def test_the_page_is_the_table():
    assert PAGE.read_text() == page(), "python -m tools.metrics_table writes it anew"


def test_names_are_those_of_prometheus_conventions():
    for name, instrument in TABLE.items():
        assert re.fullmatch(r"(sandbox|discord)_[a-z_]+|logging_total", name)
        assert name.endswith("_total") == (instrument.kind is Kind.COUNTER)
        assert instrument.kind is not Kind.HISTOGRAM or name.endswith("_duration_seconds")
        assert not re.search(r"_(s|ms|kb|mb|ratio_percent|milliseconds|megabytes)$", name)


def test_no_label_tells_a_sandbox_a_server_or_a_person():
    labels = {label for instrument in TABLE.values() for label in instrument.labels}
    assert not labels & {"sandbox", "guild", "user", "owner", "name", "id", "channel", "subject", "stream"}
