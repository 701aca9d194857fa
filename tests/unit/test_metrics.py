"""The table of metrics and its page; each metric is moved in `tests/e2e/test_metrics.py` and beside what it counts."""

import asyncio
import re
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import make_mocked_request
from loguru import logger

from bot import metrics
from bot.certificates import write_certificates
from bot.errors import ServiceUnavailable
from bot.listening import certificates_in
from bot.metric_sources.process import CertificateSource, DiskSource, LogLines, ProcessSource
from bot.metric_sources.registry import Metrics
from bot.metrics import TABLE, Kind
from bot.setting_sections import Health, Relay
from bot.settings import Settings
from bot.supervisor import Restarts, Supervisor
from tests.scrapes import scrape
from tools.metrics_table import PAGE, page

TESTS = Path(__file__).parents[1]
MOVED_BESIDE = "e2e/test_sessions.py"
"""Where one is moved by what is hard to bring about."""


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


def test_every_metric_is_moved_by_a_test():
    tests = "".join(path.read_text() for path in TESTS.rglob("test_metrics.py")) + (TESTS / MOVED_BESIDE).read_text()
    constants = {name for name, value in vars(metrics).items() if isinstance(value, metrics.Instrument)}
    assert len(constants) == len(TABLE)
    assert constants - set(re.findall(r"metrics\.([A-Z_]+)", tests)) == set()


async def test_a_part_that_fails_is_told_with_its_restarts():
    restarted = asyncio.Event()

    async def fail(part):
        if part.restarts == 2:
            part.running()
            restarted.set()
            await asyncio.Future()
        raise ServiceUnavailable("NATS", "away")

    async with Supervisor() as supervisor:
        supervisor.start("broken", fail, Restarts(first_s=0.001))
        source = ProcessSource(supervisor, SimpleNamespace(get_size=lambda: 4, get_idle_size=lambda: 3))
        assert scrape(source)(metrics.PART_RUNNING, part="broken") == 0
        await restarted.wait()
        told = scrape(source)
    assert told(metrics.PART_RUNNING, part="broken") == 1
    assert told(metrics.PART_RESTARTS, part="broken") == 2
    assert (told(metrics.POOL, state="idle"), told(metrics.POOL, state="busy")) == (3, 1)


def test_the_room_on_a_disk_is_told(tmp_path):
    assert scrape(DiskSource(tmp_path))(metrics.DATA_FREE) > 0


def test_a_certificate_is_told_as_it_is_served_also_when_another_one_waits_for_the_next_start(tmp_path):
    write_certificates(tmp_path, ["relay.example.com"])
    served = {"relay": tmp_path / "relay.pem", "nats": tmp_path / "none.pem"}
    source = CertificateSource(served)
    ends_at = scrape(source)(metrics.CERTIFICATE_END, service="relay")
    assert ends_at > time.time()
    (tmp_path / "relay.pem").write_bytes((tmp_path / "ca.pem").read_bytes())  # which lives for ten years
    assert scrape(source)(metrics.CERTIFICATE_END) == ends_at
    assert scrape(CertificateSource(served))(metrics.CERTIFICATE_END, service="relay") > ends_at


def test_a_certificate_is_told_by_the_process_that_serves_with_it():
    files = {"certificate": Path("relay.pem"), "key": Path("relay.key")}
    relay = Settings(relay=Relay(listen="127.0.0.1:8791", **files), health=Health(listen="127.0.0.1:8792"))
    assert certificates_in(relay) == {"relay": Path("relay.pem")}
    bot = Settings(relay=Relay(listen="off", **files), health=Health(listen="127.0.0.1:8792", **files))
    assert certificates_in(bot) == {"health": Path("relay.pem")}


def test_a_source_that_fails_takes_no_other_with_it_and_is_told_once(tmp_path):
    said = []
    number = logger.add(lambda message: said.append(message.record["message"]))
    broken = Metrics()
    broken.add(DiskSource(tmp_path / "gone"), DiskSource(tmp_path))
    for _ in range(2):
        text, content_type = broken.expose("application/openmetrics-text; version=1.0.0")
        assert metrics.DATA_FREE.name in text.decode()
        assert content_type.startswith("application/openmetrics-text")
    logger.remove(number)
    assert said == ["metrics cannot be read"]


@pytest.mark.parametrize("version", ["nonsense", "1..0", ""])
def test_a_header_that_nobody_understands_is_answered_as_none(version):
    for kind in ("application/openmetrics-text", "text/plain"):
        assert Metrics().expose(f"{kind}; version={version}")[0].startswith(b"# HELP")


async def test_many_scrapes_are_read_once(monkeypatch):
    read, told = count(1), Metrics()
    told.add(lambda: [metrics.ROUTES.one(next(read))])

    async def scrape_as(accept):
        return await told.handle(make_mocked_request("GET", "/metrics", headers={"Accept": accept}))

    for accept in ("", "text/plain", "application/openmetrics-text", "application/openmetrics-text; version=1.0.1") * 5:
        answer = await scrape_as(accept)
        assert answer.content_type == ("text/plain" if "open" not in accept else "application/openmetrics-text")
    monkeypatch.setattr(told, "_holds_until", 0.0)  # its time is over
    assert b"sandbox_routes 3.0" in (await scrape_as("")).body


def test_lines_of_the_log_are_counted_as_long_as_somebody_counts_them():
    with LogLines() as lines:
        logger.warning("counted")
    logger.warning("not counted")
    assert scrape(lines)(metrics.LOG_LINES, logger=__name__, level="WARNING") == 1
