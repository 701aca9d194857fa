"""What `/readyz` says: how each thing is that has to be well for the bot to be ready, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from bot.findings import Finding, Level

NEVER_KEPT = {"Cache-Control": "no-store"}


@dataclass(slots=True)
class Check:
    """What was found last, and `since` when (UTC) it has been `ok`, or has not."""

    ok: bool = False
    detail: str = "not asked yet"
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def note(self, found: Finding) -> None:
        """What is found now."""
        ok = found.level is not Level.FAILURE
        if ok is not self.ok:
            self.since = datetime.now(UTC)
        self.ok, self.detail = ok, found.message


def tell(checks: Mapping[str, Check]) -> web.Response:
    """200 if all is well, 503 if not, and all checks in any case."""
    ready = all(check.ok for check in checks.values())
    told = {
        name: {"ok": check.ok, "detail": check.detail, "since": check.since.isoformat(timespec="milliseconds")}
        for name, check in checks.items()
    }
    return web.json_response({"ready": ready, "checks": told}, status=200 if ready else 503, headers=NEVER_KEPT)
