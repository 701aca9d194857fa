"""A Prometheus of its own on loopback, which scrapes bots every two seconds."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.alerts.rules import read_jobs
from tests.cluster.server import LOOPBACK, Server, free_ports

PROGRAM = shutil.which("prometheus")
_LOOKED_AT_EVERY_S = 0.2


class Prometheus:
    """`async with` it. `rules` is a file's content; `targets` are `host:port` of each bot's health, `relays` of each
    relay's that has a process of its own."""

    def __init__(self, folder: Path, *, rules: str, targets: Sequence[str], relays: Sequence[str] = ()) -> None:
        assert PROGRAM is not None, "install Debian's package prometheus"
        folder.mkdir()
        (folder / "rules.yml").write_text(rules)
        config = {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": read_jobs(targets, relays),
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML, too
        (port,) = free_ports(1)
        argv = [PROGRAM, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        argv.append(f"--web.listen-address={LOOPBACK}:{port}")
        self._server = Server("prometheus", port, argv, folder, self._is_ready)
        self._address = f"http://{LOOPBACK}:{port}"

    async def __aenter__(self) -> Self:
        patient = aiohttp.ClientTimeout()  # whoever waits has a limit, and what breaks may take the processor
        self._session = aiohttp.ClientSession(self._address, timeout=patient)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.kill()
        await self._session.close()

    async def firing(self) -> list[Mapping[str, str]]:
        """The labels of each alert that fires."""
        alerts = (await self._get("alerts"))["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """What it is just now; AssertionError if it is none."""
        return list((await self._get("query", query=expression))["result"])

    async def wait_for(self, alert: Alert, *, firing: bool, seconds: float) -> bool:
        """Whether that comes within so many seconds."""
        give_up_at = asyncio.get_running_loop().time() + seconds
        while await self.fires(alert) is not firing:
            if asyncio.get_running_loop().time() > give_up_at:
                return False
            await asyncio.sleep(_LOOKED_AT_EVERY_S)
        return True

    async def fires(self, alert: Alert) -> bool:
        """Just now."""
        return any(alert.is_told_by(labels) for labels in await self.firing())

    async def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        async with self._session.get(f"/api/v1/{what}", params=parameters) as answer:
            told = await answer.json()
        assert told["status"] == "success", (parameters, told)
        return dict(told["data"])

    async def _is_ready(self) -> None:
        async with self._session.get("/-/ready") as answer:
            answer.raise_for_status()


class Alert:
    """By its name, and where one of its labels tells which one it is, by that too: `SandboxStoreAway redis`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.name, _, self._of = text.partition(" ")

    def is_told_by(self, labels: Mapping[str, str]) -> bool:
        """Whether those are its labels."""
        return labels["alertname"] == self.name and (not self._of or self._of in labels.values())
