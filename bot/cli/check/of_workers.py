"""Where workers reach the stores, and the certificates that they see there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from bot.certificates import RENEWED_BEFORE, CertificateError, covers, left_of
from bot.cli.check.shared import Unanswerable
from bot.cli.check.surroundings import Surroundings
from bot.control_plane import find_worker_addresses
from bot.durations import format_duration
from bot.findings import Finding, ok, warning
from bot.i18n import gettext
from bot.sandboxes.access.connection import WorkerAddresses, is_loopback
from bot.settings import Workers

_NAMES = {"postgres": "PostgreSQL", "redis": "Redis", "nats": "NATS"}


async def workers(found: Surroundings) -> AsyncIterator[Finding]:
    """`SettingsError` if an address cannot be handed out."""
    addresses, settings = await found.addresses.get(), found.settings
    try:
        client = await found.redis.get()
    except Unanswerable:
        client = None
    yield _reach(find_worker_addresses(settings, addresses, await found.isolation(), client))
    for store in sorted(settings.embedded_stores):
        for finding in certificate_of(store, settings.workers):
            yield finding


def certificate_of(store: str, chosen: Workers) -> Iterator[Finding]:
    """Of an embedded one, if the settings name the folder."""
    if chosen.certificates is not None:
        certificate, host = chosen.certificates / f"{store}.pem", chosen.host or chosen.listen
        yield from certificate_findings(certificate, host, "workers.certificates")


def _reach(addresses: WorkerAddresses) -> Finding:
    near = [name for store, name in _NAMES.items() if is_loopback(getattr(addresses, store))]
    if not near:
        return ok(gettext("Workers reach the stores from other machines."))
    return ok(
        gettext(
            "Workers reach {stores} on this machine alone. For others, set [workers] listen, or the addresses there.",
            stores=", ".join(near),
        )
    )


def certificate_findings(certificate: Path, host: str, setting: str) -> Iterator[Finding]:
    """If it ends soon, isn't for the host, where there is one, or can't be read."""
    data = {"setting": setting, "certificate": certificate}
    try:
        left = left_of(certificate)
        renew = gettext("Run `sandbox-bot certificates`, which renews it.")
        if left.total_seconds() <= 0:
            yield warning(gettext("{setting}: {certificate} has expired.", **data), renew)
        elif left < RENEWED_BEFORE:
            ends = format_duration(left)
            yield warning(gettext("{setting}: {certificate} expires in {ends}.", **data, ends=ends), renew)
        if host and not covers(certificate, host):
            yield warning(
                gettext("{setting}: {certificate} is not for {host}, where clients come to.", **data, host=host),
                gettext("Run `sandbox-bot certificates` with that name, too."),
            )
    except CertificateError as error:
        yield warning(
            gettext("{setting}: {problem}", setting=setting, problem=error),
            gettext("Run `sandbox-bot certificates`, or name another folder."),
        )
