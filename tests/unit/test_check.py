"""How `sandbox-bot check` compares clocks, puts up with faults of its own, and says what it has found."""

from __future__ import annotations

import contextvars
import re
from pathlib import Path
from uuid import uuid4

from bot.cli.check import rendering
from bot.cli.check.checks import CHECKS, Check
from bot.cli.check.clocks import compare
from bot.cli.check.examination import Examination, Outcome, examine
from bot.cli.check.of_bots import compare_shards
from bot.cli.check.time_gap import SAME, TimeGap
from bot.findings import Cause, Level, failure, ok, warning
from bot.i18n import activate_locale
from bot.stores.leases import Claim, Claimant

PAGE = Path(__file__).parents[2] / "docs" / "check.md"


async def test_a_gap_is_what_no_delay_explains(monkeypatch):
    moments = iter([100.0, 103.0])
    monkeypatch.setattr("bot.cli.check.time_gap.time.time", lambda: next(moments))

    async def ask():
        return 110.0

    gap = await TimeGap.measure(ask)
    assert (gap, gap.certain_s) == (TimeGap(7.0, 10.0), 7.0)
    assert (TimeGap(-10.0, -7.0).certain_s, TimeGap(-1.0, 3.0).certain_s, SAME.certain_s) == (-7.0, 0.0, 0.0)
    assert (gap & TimeGap(8.0, 20.0), gap - TimeGap(1.0, 2.0)) == (TimeGap(8.0, 10.0), TimeGap(5.0, 9.0))


def test_clocks_that_are_apart_are_said_to_be_ahead_or_behind():
    assert compare("NATS", TimeGap(4.0, 6.0), "Discord", "mend").level is Level.OK
    assert compare("NATS", TimeGap(60.0, 61.0), "Discord", "mend").message == (
        "The clock of NATS is 60 s ahead of that of Discord."
    )
    assert "61 s behind" in compare("NATS", TimeGap(-70.0, -61.0), "Discord", "mend").message


class Nothing:
    """Surroundings without anything to open."""

    def __init__(self):
        self.addresses, self.settings = self, None
        self.postgres = self.redis = self.nats = self.callout = self.discord = self

    async def wait(self):
        return self

    def give_up(self, _):
        return

    def shared(self):
        return []


async def test_a_check_that_fails_by_the_bots_fault_ends_no_other(monkeypatch):
    async def broken(_):
        yield ok("first")
        raise ZeroDivisionError

    async def sound(_):
        yield ok("second")

    found = await examine(Nothing(), [Check("relay", broken), Check("workers", sound)], 5)
    assert [finding.message for finding in found.findings if finding.level is Level.OK] == ["first", "second"]
    assert (found.level, found.cause) == (Level.FAILURE, Cause.FAILED)
    assert "ZeroDivisionError" in found.outcomes[0].findings[1].message


def test_a_wrong_configuration_counts_before_what_may_come_back():
    away, wrong = failure("a", "b", Cause.UNAVAILABLE), failure("a", "b", Cause.CONFIGURATION)
    assert Examination([Outcome("relay", [away, wrong, warning("a", "b")])]).cause is Cause.CONFIGURATION
    assert Examination([Outcome("relay", [away])]).cause is Cause.UNAVAILABLE
    assert Examination([Outcome("relay", [warning("a", "b")])]).cause is None


FOUND = Examination(
    [
        Outcome("postgres.server", [ok("a " * 60), warning("b " * 60, "c " * 60)]),
        Outcome("nats.server", [failure(f"https://{'d' * 90}", "e", Cause.UNAVAILABLE)]),
        *(Outcome(f"nats.{name}", because="nats.server") for name in ("hosts", "clock", "limits", "isolation", "disk")),
    ]
)


def test_people_read_it_in_eighty_columns_and_in_their_language(capsys, monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")

    def show():
        activate_locale(rendering.terminal_locale())
        rendering.show_examination(FOUND)

    contextvars.copy_context().run(show)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80 and "ddd" not in line] == []
    assert [line for line in lines if line != line.rstrip()] == []
    assert {len(line) - len(line.lstrip()) for line in lines if line.startswith("   ")} == {11, 13}
    assert lines[0] == "PostgreSQL"
    assert lines[-1] == "1 ok, 1 Warnung, 1 Fehler"
    assert any(line.startswith("  WARNUNG  b b") for line in lines)
    assert any(line.startswith("Wegen nats.server nicht geprüft: nats.hosts, nats.clock") for line in lines)


def test_the_page_names_every_check_in_its_order():
    _, _, table = PAGE.read_text().partition("| check | what it asks |")
    assert re.findall(r"^\| `([a-z.]+)` \|", table, re.MULTILINE) == [check.name for check in CHECKS]


def test_bots_with_another_number_of_shards_are_named_beside_the_shards_that_they_leave_to_nobody():
    waits = Claimant(uuid4(), "new", Claim(1, 3, (1, 2)), ())
    runs = Claimant(uuid4(), "old", Claim(1, 2, (0,)), (0,))
    told = [(one.level, one.message) for one in compare_shards([waits, runs])]
    assert told == [
        (Level.OK, "new is the standby for shards 1, 2 of 3."),
        (Level.OK, "old runs shard 0 of 2."),
        (Level.WARNING, "Bots run with different numbers of shards: 2, 3."),
        (Level.WARNING, "Nobody runs shard 1: events of their servers wait."),
    ]
    assert [one.level for one in compare_shards([Claimant(uuid4(), "all", Claim(1, 2, (0, 1)), (0, 1))])] == [Level.OK]
