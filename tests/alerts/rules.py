"""The rules as they stand, but minutes are seconds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
FACTOR = 60
_UNITS = {"s": 1, "m": 60, "h": 3600}
_FOR_S, _RANGE_S = (1, 5), (30, 60)
"""The shortest and the longest; a range has some samples also where the machine is busy."""
_RANGE = re.compile(r"\[(\d+[smh])\]|offset (\d+[smh])")


def read_rules() -> list[dict[str, Any]]:
    """All alerts, as they stand."""
    return [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


def read_jobs(bots: Sequence[str], relays: Sequence[str]) -> list[dict[str, Any]]:
    """What deploy/prometheus.yml scrapes, the job that stands there as a comment too, with these targets."""
    whole = re.sub(r"^  # ", "  ", (DEPLOY / "prometheus.yml").read_text(), flags=re.MULTILINE)
    targets = {"sandbox-bot": list(bots), "sandbox-relay": list(relays)}
    jobs = yaml.safe_load(whole)["scrape_configs"]
    return [job | {"static_configs": [{"targets": targets[job["job_name"]]}]} for job in jobs]


def hasten(rules: list[dict[str, Any]]) -> str:
    """A file of rules whose durations are shorter."""
    hastened = [_hasten(rule) for rule in rules]
    return str(yaml.safe_dump({"groups": [{"name": "hastened", "rules": hastened}]}, sort_keys=False))


def read_queries() -> list[str]:
    """What the dashboard asks, of all processes, as Grafana would fill it in."""
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [query.replace("$__rate_interval", "15s").replace("$instance", ".*") for query in asked]


def _hasten(rule: dict[str, Any]) -> dict[str, Any]:
    expression = _RANGE.sub(_shorter_range, rule["expr"])
    waits = {"for": _shorter(rule["for"], *_FOR_S)} if "for" in rule else {}
    return {**rule, "expr": expression, **waits}


def _shorter_range(found: re.Match[str]) -> str:
    duration = found[1] or found[2]
    return found[0].replace(duration, _shorter(duration, *_RANGE_S))


def _shorter(duration: str, least_s: int, most_s: int) -> str:
    seconds = int(duration[:-1]) * _UNITS[duration[-1]] // FACTOR
    return f"{min(max(seconds, least_s), most_s)}s"
