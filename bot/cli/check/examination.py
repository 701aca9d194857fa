"""Makes all checks side by side, within one limit: what does not answer holds up nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from loguru import logger

from bot import constants
from bot.cli.check.checks import Check
from bot.cli.check.shared import Shared, Unanswerable
from bot.cli.check.surroundings import Surroundings
from bot.discord_away import FAILURES, unavailable
from bot.errors import SandboxError, ServiceUnavailable
from bot.findings import Cause, Finding, Level, failure, worst
from bot.i18n import gettext
from bot.private_api import UnsupportedLibrary
from bot.settings import Settings, SettingsError
from bot.shutdown import cancel_repeatedly
from bot.stores.embedded import EmbeddedError, FolderMissing
from bot.stores.failures import MIXED_UP, postgres_failure

_ADDRESSES = {"PostgreSQL": "DATABASE_URL", "Redis": "REDIS_URL", "NATS": "NATS_URL"}


@dataclass(slots=True)
class Outcome:
    """Of one check. `because`: it could not be made, for the reason that the check of that name has found."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    because: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """Of all checks, in their order."""

    outcomes: Sequence[Outcome]

    @property
    def findings(self) -> list[Finding]:
        """Whichever checks they are of."""
        return [finding for outcome in self.outcomes for finding in outcome.findings]

    @property
    def level(self) -> Level:
        """The worst there is."""
        return worst(self.findings)

    @property
    def cause(self) -> Cause | None:
        """Of its failures; a wrong configuration counts before a service that is away, for that may come back."""
        causes = {finding.cause for finding in self.findings}
        return next((cause for cause in reversed(Cause) if cause in causes), None)


async def examine(found: Surroundings, checks: Sequence[Check], within_s: float) -> Examination:
    """The time counts from when it is known where the stores are: embedded ones may have to be started first."""
    outcomes = [Outcome(check.name) for check in checks]
    tasks = [asyncio.create_task(_make(check, found, outcome)) for check, outcome in zip(checks, outcomes, strict=True)]
    with suppress(Exception):  # which its own check reports
        await found.addresses.wait()
    await asyncio.wait(tasks, timeout=within_s)
    _give_up(found, within_s)
    await asyncio.wait(tasks, timeout=constants.CANCEL_WITHIN_S)
    for task, outcome in zip(tasks, outcomes, strict=True):
        if not task.done():
            outcome.findings.append(_too_late(within_s))
    await cancel_repeatedly(tasks, constants.CANCEL_WITHIN_S)
    return Examination(outcomes)


def _give_up(found: Surroundings, within_s: float) -> None:
    """On what is not open yet: the check that waits for it says so, and the others name that one."""
    opened: tuple[tuple[str, Shared[Any]], ...] = (
        ("PostgreSQL", found.postgres),
        ("Redis", found.redis),
        ("NATS", found.nats),
        ("NATS", found.callout),
        ("Discord", found.discord),
    )
    detail = gettext("it does not answer within {seconds} s", seconds=f"{within_s:g}")
    for service, shared in opened:
        shared.give_up(ServiceUnavailable(service, detail))


async def _make(check: Check, found: Surroundings, outcome: Outcome) -> None:
    try:
        async for finding in check.look(found):
            outcome.findings.append(finding)
    except Unanswerable as error:
        outcome.because = error.because
    except MIXED_UP:
        outcome.because = "postgres.server"
    except Exception as error:
        outcome.findings.append(_explain(check, error, found.settings))


def _explain(check: Check, error: Exception, settings: Settings) -> Finding:
    if isinstance(error, FAILURES) and check.name.startswith("discord"):
        error = unavailable(error, settings.discord.api_base)
    match error:
        case ServiceUnavailable():
            return _away(error, settings)
        case SettingsError():
            return misconfigured(error)
        case FolderMissing():
            mend = gettext("Start a bot there, or name its folder or other servers.")
            return failure(str(error), mend, Cause.CONFIGURATION)
        case asyncpg.PostgresError() | asyncpg.InterfaceError():
            return failure(
                gettext("PostgreSQL refuses it: {detail}", detail=postgres_failure(error).detail),
                gettext("Let the role of DATABASE_URL own the database and what is in it."),
            )
        case EmbeddedError() | UnsupportedLibrary() | SandboxError():
            return failure(str(error), gettext("Do as it says, and check again."), Cause.UNAVAILABLE)
    logger.opt(exception=error).error("a check failed", check=check.name)
    return failure(
        gettext("The check itself has failed: {error}", error=type(error).__name__),
        gettext("That is the bot's fault: report it with what stands in the log."),
    )


def misconfigured(error: SettingsError) -> Finding:
    """Its sentence names the key, and the mend."""
    mend = gettext("Correct that setting; config.toml explains each.")
    return failure(str(error), mend, Cause.CONFIGURATION)


def _away(error: ServiceUnavailable, settings: Settings) -> Finding:
    if error.lack is not None:
        message = gettext("{service} has no {lack} left: {detail}", **error.data, detail=error.detail)
        return failure(message, gettext("Make room; all goes on by itself then."), Cause.UNAVAILABLE)
    message = gettext("{service} is not reachable: {detail}", service=error.service, detail=error.detail)
    if error.service in _ADDRESSES:
        mend = gettext("Start it, or correct {variable}.", variable=_ADDRESSES[error.service])
    else:
        mend = gettext(
            "See whether this machine reaches {address}, and what discordstatus.com says.",
            address=settings.discord.api_base,
        )
    return failure(message, mend, Cause.UNAVAILABLE)


def _too_late(within_s: float) -> Finding:
    return failure(
        gettext("There is no answer within {seconds} s.", seconds=f"{within_s:g}"),
        gettext("If it is only far away or busy, give it longer: `--within 1m`."),
        Cause.UNAVAILABLE,
    )
