"""Alerts, dashboard and runbook agree with each other, with the metrics that there are and with what the bot says."""

import ast
import functools
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from bot.cli import cli
from bot.metrics import TABLE, Kind
from tests.alerts.faults import FAULTS
from tests.alerts.rules import read_jobs
from tests.runbook.entries import Entry, NotInTheRunbook, read_entries
from tests.runbook.plays import PLAYS
from tests.unit.test_stability import commands

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
RUNBOOK = (REPOSITORY / "docs" / "runbook.md").read_text()
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
TESTS = yaml.safe_load((DEPLOY / "alerts_test.yml").read_text())["tests"]
OF_PROMETHEUS = {"up", "ALERTS"}
SAID_BY_OTHERS = {
    "message size exceeds maximum allowed",  # NATS
    "Publish Violation",  # NATS, in its log
    "permission denied",  # PostgreSQL
    "terminating connection",  # PostgreSQL, in its log
}

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_queries():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def series():
    """Whatever may be scraped under its own name."""
    return {
        instrument.name + suffix: instrument
        for instrument in TABLE.values()
        for suffix in (("_bucket", "_count", "_sum") if instrument.kind is Kind.HISTOGRAM else ("",))
    }


def selectors(query):
    """Each metric of a query, with the labels that are looked at."""
    for name, labels in re.findall(r"\b((?:sandbox|discord|logging)_[a-z0-9_]+|up|ALERTS)\b(?:\{([^}]*)\})?", query):
        yield name, re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", labels)


@functools.cache
def texts_of_the_bot():
    """Whatever stands between quotation marks in its code, without what is filled in."""
    trees = [ast.parse(path.read_text()) for path in (REPOSITORY / "bot").rglob("*.py")]
    nodes = itertools.chain.from_iterable(map(ast.walk, trees))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def sentences_in(text):
    """What is quoted as said by somebody: words, in the place of a command, an expression or a name."""
    quoted = re.findall(r"`([^`]+)`", " ".join(text.split()))
    said = [each.removeprefix("gateway: ") for each in quoted if not re.match(r"curl|make|pgrep|sandbox-bot", each)]
    return {each for each in said if re.fullmatch(r"[A-Za-z]+[,:]? [A-Za-z,':\u2019 ]+", each)}


def names_in(text):
    return {name for name, _ in selectors(text)}


@pytest.mark.parametrize("query", [rule["expr"] for rule in RULES] + dashboard_queries())
def test_every_metric_and_label_of_alerts_and_dashboard_exists(query):
    known = series()
    assert list(selectors(query))
    for name, labels in selectors(query):
        if name in OF_PROMETHEUS:
            continue
        assert name in known, name
        ours = set(labels) - {"job", "instance", "le"}
        assert ours <= set(known[name].labels), (name, ours)


def test_every_value_that_alerts_and_dashboard_look_for_is_one_that_there_is():
    """As the table tells them."""
    checks = {"sandbox_ready": "postgres redis nats"}
    for query in [rule["expr"] for rule in RULES] + dashboard_queries():
        for name, labels in re.findall(r"\b((?:sandbox|discord)_[a-z0-9_]+)\{([^}]*)\}", query):
            told = series()[name].help + checks.get(name, "")
            for label, values in re.findall(r'([a-z_]+)(?:=~|!~|!=|=)"([^"]*)"', labels):
                if label not in {"job", "instance"}:
                    assert set(values.split("|")) <= set(re.findall(r"\w+", told)), (query, label)


def test_what_is_grouped_by_is_a_label_of_what_is_asked_for():
    for query in [rule["expr"] for rule in RULES] + dashboard_queries():
        labels = {label for name in names_in(query) - OF_PROMETHEUS for label in series()[name].labels}
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            assert set(re.split(r",\s*", grouped)) <= labels | {"instance", "le"}, query


def test_every_metric_that_the_runbook_names_exists():
    assert names_in(RUNBOOK) - OF_PROMETHEUS <= series().keys() | TABLE.keys()
    assert names_in(RUNBOOK)


def test_what_an_entry_quotes_is_what_the_bot_says():
    """In an entry's words one looks through the log, and through what `/readyz` and `check` say."""
    entries, texts = RUNBOOK.partition("\n## What no alert tells")[0], "\n".join(texts_of_the_bot())
    assert len(sentences_in(entries)) > 20
    assert {each for each in sentences_in(entries) - SAID_BY_OTHERS if each not in texts} == set()


@pytest.mark.parametrize("query", [rule["expr"] for rule in RULES] + dashboard_queries())
def test_every_value_that_a_label_is_asked_for_may_be_one(query):
    texts = texts_of_the_bot()
    for name, labels in re.findall(r"\b((?:sandbox|discord)_[a-z0-9_]+)\{([^}]*)\}", query):
        for label, values in re.findall(r'([a-z_]+)\s*=~?\s*"([^"$]*)"', labels):
            if label not in {"job", "instance"}:
                known = texts | set(re.findall(r"\w+", series()[name].help))
                assert set(values.split("|")) <= known, (name, label)


def test_every_command_of_the_runbook_exists():
    known = dict(commands(get_command(cli), "sandbox-bot"))
    told = re.findall(r"`(sandbox-bot [^`]+)`", " ".join(RUNBOOK.split()))
    assert told
    for words in map(str.split, told):
        path = " ".join(itertools.takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), words))
        assert {word for word in words if word.startswith("--")} <= set(known[path]), words


def test_every_alert_has_its_entry_in_the_runbook_and_the_other_way_round():
    alerts = [rule["alert"] for rule in RULES]
    assert re.findall(r"^### (Sandbox\w+)$", RUNBOOK, re.MULTILINE) == alerts
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_every_alert_is_made_to_fire_by_a_test_of_the_rules():
    fired = re.findall(r'alertname="(\w+)"', json.dumps(TESTS).replace("\\", ""))
    assert set(fired) == {rule["alert"] for rule in RULES}


def test_every_alert_is_made_to_fire_by_a_real_fault_in_make_alerts():
    fired = {alert.partition(" ")[0] for _, alerts in FAULTS.values() for alert in alerts}
    assert fired == {rule["alert"] for rule in RULES}


def test_every_entry_beside_the_alerts_is_played_and_has_no_play_that_is_none():
    assert list(read_entries()) == list(PLAYS)


def test_who_plays_an_entry_runs_its_commands_as_they_stand_there_and_no_others():
    entry = Entry("Leaked", "Run `sandbox-bot sandbox\n   env NAME --rotate`, see `/readyz`; `openssl x509 | sed p`.")
    assert entry.left == ["sandbox-bot sandbox env NAME --rotate", "openssl x509 | sed p"]
    words = entry.words("sandbox-bot sandbox env NAME --rotate", NAME="lab")
    assert words == ["sandbox-bot", "sandbox", "env", "lab", "--rotate"]
    assert entry.words("openssl x509 | sed p") == ["sh", "-c", "openssl x509 | sed p"]
    assert entry.left == []
    with pytest.raises(NotInTheRunbook, match="nats-seed"):
        entry.words("sandbox-bot nats-seed")


def test_the_job_of_relays_is_one_that_prometheus_takes_as_it_stands():
    jobs = read_jobs(["127.0.0.1:1"], ["127.0.0.1:2"])
    assert [job["job_name"] for job in jobs] == ["sandbox-bot", "sandbox-relay"]
    assert jobs[1]["static_configs"] == [{"targets": ["127.0.0.1:2"]}]


def test_the_dashboard_is_one_that_grafana_imports():
    assert [one["name"] for one in DASHBOARD["__inputs"]] == ["DS_PROMETHEUS"]
    assert DASHBOARD["schemaVersion"] >= 38
    assert {panel["type"] for panel in panels()} <= {one["id"] for one in DASHBOARD["__requires"]}
    sources = [panel["datasource"] for panel in panels()]
    sources += [target["datasource"] for panel in panels() for target in panel["targets"]]
    assert all(source == {"type": "prometheus", "uid": "${DS_PROMETHEUS}"} for source in sources)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_no_panel_lies_on_another_one():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@needs_promtool
@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")], ids=" ".join
)
def test_prometheus_takes_the_files_and_the_rules_pass_their_tests(arguments):
    done = subprocess.run(["promtool", *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
