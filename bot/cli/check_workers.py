"""What `sandbox-bot check` says of where workers reach the stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bot.certificates import RENEWED_BEFORE, CertificateError, covers, left_of
from bot.control_plane import find_worker_addresses
from bot.durations import format_duration
from bot.sandboxes.access.connection import WorkerAddresses, is_loopback
from bot.sandboxes.access.isolation import Isolation
from bot.settings import Settings
from bot.stores.opening import Stores

_NAMES = {"postgres": "PostgreSQL", "redis": "Redis", "nats": "NATS"}


def check_workers(settings: Settings, stores: Stores, isolation: Isolation) -> tuple[list[str], list[str]]:
    """Facts and warnings. `SettingsError` if an address cannot be handed out."""
    addresses = find_worker_addresses(settings, stores, isolation)
    certificates = [
        warning for store in sorted(settings.embedded_stores) for warning in certificate_warnings(settings, store)
    ]
    return list(_reach(addresses)), certificates


def _reach(addresses: WorkerAddresses) -> Iterator[str]:
    near = [name for store, name in _NAMES.items() if is_loopback(getattr(addresses, store))]
    if near:
        yield (
            f"Workers: they reach {', '.join(near)} on this machine alone. For others, set [workers] listen, or the "
            "addresses there."
        )


def certificate_warnings(settings: Settings, store: str) -> Iterator[str]:
    """If the one of an embedded store ends soon, or isn't for the host that workers come to."""
    chosen = settings.workers
    if chosen.certificates is None:
        return
    yield from warnings_of(chosen.certificates / f"{store}.pem", chosen.host or chosen.listen, "workers.certificates")


def warnings_of(certificate: Path, host: str, setting: str) -> Iterator[str]:
    """If it ends soon, isn't for the host, where there is one, or can't be read."""
    try:
        left = left_of(certificate)
        if left.total_seconds() <= 0:
            yield f"{setting}: {certificate} has expired. `sandbox-bot certificates` renews it."
        elif left < RENEWED_BEFORE:
            ends = format_duration(left)
            yield f"{setting}: {certificate} expires in {ends}. `sandbox-bot certificates` renews it."
        if host and not covers(certificate, host):
            yield f"{setting}: {certificate} is not for {host}, where clients come to. Make one that is."
    except CertificateError as error:
        yield f"{setting}: {error}"
