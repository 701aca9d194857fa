"""The data folder: what stands in it beside the servers' own data."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from loguru import logger

from bot import constants
from bot.stores.embedded.errors import EmbeddedError, FolderMissing
from bot.stores.nats_jwt import new_account_seed
from sandbox_worker.files import replace_file, sync_file, sync_folder

_LOOPBACK = ("127.0.0.1",)
LOCK = "lock"
"""The file that whoever runs the servers has locked; the first one to be made in the folder."""


def make_folder(path: Path) -> Path:
    """For nobody else to look into; it is there after a loss of power too."""
    made = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in made:
        sync_folder(each.parent)
    return path


def require_folder(path: Path) -> None:
    """`FolderMissing` unless a bot has made it: another folder may be called `data`, too."""
    if not (path / LOCK).is_file():
        raise FolderMissing(
            f"There is no data folder of a bot at {path}, where the embedded stores would be. Run this where the bot "
            "runs, or name its folder ([embedded] folder, BOT_EMBEDDED__FOLDER) or its servers (DATABASE_URL, "
            "REDIS_URL, NATS_URL). `sandbox-bot run` makes a new one."
        )


def sync_stream(folder: Path, name: str) -> None:
    """Begin to bring to the disk what NATS has written when it made the stream and its consumer. It leaves that to the
    kernel for half a minute, in which a loss of power makes empty files of it, and then there is no stream."""
    of_stream = folder / "nats" / "jetstream" / "APP" / "streams" / name
    Thread(target=_sync_tree, args=(of_stream,), daemon=True).start()  # no stop waits for all of it


def _sync_tree(path: Path) -> None:
    for each in (*path.rglob("*"), path):
        try:
            sync_file(each)
        except FileNotFoundError:  # NATS has put another one there meanwhile
            continue
        except OSError as error:
            logger.warning("a new stream is not on the disk yet", file=str(each), error=error.strerror)


def try_writing(folder: Path) -> None:
    """`OSError` unless as much fits there as a server needs to start, and gets onto the disk. It leaves nothing."""
    replace_file(folder / "room", bytes(constants.SERVER_NEEDS_ROOM)).unlink()


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """What `<name>.json` holds; empty if there is none, or if it is damaged, as a loss of power left those of 0.1.0."""
    path = folder / f"{name}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError:
        logger.warning("a file of the data folder is damaged and made anew", file=str(path))
        return {}
    return content


def update_json(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Add to what `<name>.json` holds."""
    known = read_json(folder, name)
    if known != known | content:
        replace_file(folder / f"{name}.json", json.dumps(known | content))


def load_passwords(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """By name, with the seed of NATS's issuing account as `nats-seed`; made at the first start and kept.

    `EmbeddedError` if they are gone and PostgreSQL, which keeps its superuser's in its data, is not.
    """
    known = read_json(folder, "secrets")
    if not known and (folder / "postgres" / "PG_VERSION").exists():
        raise EmbeddedError(
            f"{folder / 'secrets.json'} is missing or damaged, and PostgreSQL's data cannot be used without the "
            f"passwords in it. Put it back from a backup of the folder; or move {folder} away, and with it all data."
        )
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
