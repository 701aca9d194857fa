"""The data folder: what stands in it beside the servers' own data."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bot import constants
from bot.stores.embedded.errors import EmbeddedError, FolderMissing
from bot.stores.nats_jwt import new_account_seed

_LOOPBACK = ("127.0.0.1",)
LOCK = "lock"
"""The file that whoever runs the servers has locked; the first one to be made in the folder."""


def make_folder(path: Path) -> Path:
    """For nobody else to look into."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def require_folder(path: Path) -> None:
    """`FolderMissing` unless a bot has made it: another folder may be called `data`, too."""
    if not (path / LOCK).is_file():
        raise FolderMissing(
            f"There is no data folder of a bot at {path}, where the embedded stores would be. Run this where the bot "
            "runs, or name its folder ([embedded] folder, BOT_EMBEDDED__FOLDER) or its servers (DATABASE_URL, "
            "REDIS_URL, NATS_URL). `sandbox-bot run` makes a new one."
        )


def write_private(path: Path, text: str) -> Path:
    """Written under another name, on the disk, and then moved: never half there, never readable for others."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folder(path.parent)
    return path


def _sync_folder(path: Path) -> None:
    """A file that was moved is found after a loss of power only if its folder is on the disk too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_writing(folder: Path) -> None:
    """`OSError` unless as much fits there as a server needs to start, and gets onto the disk. It leaves nothing."""
    draft = folder / "room.new"
    try:
        with draft.open("wb") as file:
            file.write(bytes(constants.SERVER_NEEDS_ROOM))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with suppress(OSError):
            draft.unlink()


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """What `<name>.json` holds; empty if there is none."""
    path = folder / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return content


def update_json(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Add to what `<name>.json` holds."""
    known = read_json(folder, name)
    if known != known | content:
        write_private(folder / f"{name}.json", json.dumps(known | content))


def load_passwords(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """By name, with the seed of NATS's issuing account as `nats-seed`; made at the first start and kept."""
    known = read_json(folder, "secrets")
    passwords = {name: known.get(name) or secrets.token_urlsafe(24) for name in names}
    passwords["nats-seed"] = known.get("nats-seed") or new_account_seed()
    update_json(folder, "secrets", passwords)
    return passwords


def choose_ports(folder: Path, stores: Iterable[str], hosts: Sequence[str] = _LOOPBACK) -> dict[str, int]:
    """By store: those of the last start, as far as they are free on all of the hosts."""
    known, ports = read_json(folder, "ports"), dict[str, int]()
    for store in sorted(stores):
        ports[store] = free_port(known.get(store, 0), hosts, but=ports.values())
    update_json(folder, "ports", ports)
    return ports


def free_port(wanted: int = 0, hosts: Sequence[str] = _LOOPBACK, but: Collection[int] = ()) -> int:
    """The wanted one if it is free, otherwise any, `but` those. `EmbeddedError` if there is none, or an address is not
    this machine's."""
    for host in hosts:
        if _bind(host, 0) is None:
            raise EmbeddedError(f"There is no free port on {host}: is that an address of this machine?")
    while not is_free(wanted := wanted or _bind(hosts[0], 0) or 0, hosts) or wanted in but:
        wanted = 0
    return wanted


def is_free(port: int, hosts: Sequence[str] = _LOOPBACK) -> bool:
    """Whether nobody listens there now."""
    return all(_bind(host, port) is not None for host in hosts)


def _bind(host: str, port: int) -> int | None:
    """For a moment: which one it was, any for 0; None if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])
    return None
