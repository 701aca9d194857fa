"""The port for health and metrics: whether a bot tells how it is there, or could."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from bot import constants
from bot.cli.check.of_workers import certificate_findings
from bot.cli.check.surroundings import Surroundings
from bot.findings import Cause, Finding, failure, ok
from bot.health.server import ALIVE, open_health, own_address
from bot.i18n import gettext
from bot.settings import Settings, SettingsError


async def health(found: Surroundings) -> AsyncIterator[Finding]:
    """Nobody is told anything meanwhile."""
    settings = found.settings
    if settings.health_listen == "off":
        yield ok(gettext("It is off. Whoever watches the bot needs it: set [health] listen."))
        return
    if settings.health.certificate is not None:
        for finding in certificate_findings(settings.health.certificate, "", "health.certificate"):
            yield finding
    yield await _try_to_listen(settings)


async def _try_to_listen(settings: Settings) -> Finding:
    try:
        open_health(settings)[0].close()
    except SettingsError as error:
        if await _is_alive(own_address(settings)):
            return ok(gettext("It is told at {address}.", address=own_address(settings)))
        return failure(str(error), gettext("The bot does not start until then."), Cause.CONFIGURATION)
    return ok(gettext("It could be told at {address}.", address=own_address(settings)))


async def _is_alive(address: str) -> bool:
    """Whether it is a bot that has the port already."""
    within = aiohttp.ClientTimeout(total=constants.HEALTH_TOLD_WITHIN_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=within) as session,
            session.get(f"{address}/livez", ssl=False, allow_redirects=False) as answer,
        ):
            return await answer.text() == ALIVE
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False
