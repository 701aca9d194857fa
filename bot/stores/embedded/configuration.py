"""How each embedded server is configured and started."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bot import constants
from bot.stores import launch
from bot.stores.embedded.folder import make_folder
from bot.stores.embedded.programs import Programs
from bot.stores.embedded.reach import Reach, bracketed
from bot.stores.nats_account import hash_of
from bot.stores.nats_jwt import account_of
from sandbox_worker.files import replace_file

SUPERUSER = "postgres"
CONTROL_ROLE = "sandbox_bot"
DATABASE = "sandboxes"
WORKER_GROUP = "sandbox_worker"
NATS_USER = "sandbox-bot"
NATS_AUTH_USER = "sandbox-auth"
NATS_SYSTEM_USER = "sandbox-system"
PASSWORDS = (SUPERUSER, CONTROL_ROLE, "redis", "nats", "nats-auth", "nats-system")


@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """What all sessions together may have: `connections`, of which some are `reserved` for bots from PostgreSQL 16 on.
    And the `temp_megabytes` that one session's queries may write beside the tables."""

    connections: int = 300
    reserved: int = 40
    temp_megabytes: int = 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in the data folder, which programs run on it, what they listen on, and PostgreSQL's limits."""

    folder: Path
    ports: dict[str, int]
    passwords: dict[str, str]
    durable: bool
    programs: Programs
    reach: Reach = field(default_factory=Reach)
    limits: PostgresLimits = PostgresLimits()
    extensions: tuple[str, ...] = ()

    def log(self, name: str) -> Path:
        """What the server of that name prints."""
        return self.folder / "log" / f"{name}.log"

    @property
    def postgres_data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "postgres"

    @property
    def postgres_major(self) -> int:
        """The version of PostgreSQL that has made the data directory, and alone can run on it."""
        return int((self.postgres_data / "PG_VERSION").read_text())


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """How one server runs: it gets `death_signal` when its parent dies, and `stop_signal` ends it in good order."""

    name: str
    argv: list[str]
    log: Path
    death_signal: signal.Signals
    stop_signal: signal.Signals

    @property
    def for_guardian(self) -> dict[str, object]:
        """As the guardian reads it."""
        argv = launch_command(self.argv, self.death_signal)
        return {"name": self.name, "argv": argv, "log": str(self.log), "stop_signal": self.stop_signal.value}


def launch_command(argv: list[str], death_signal: signal.Signals) -> list[str]:
    """The command that gets the signal when its parent dies, and as root runs as somebody else. On the way runs no code
    of others', such as a tracer's: what has threads can't leave root."""
    return [sys.executable, "-I", "-S", launch.__file__, death_signal.name, *argv]


def configure(layout: Layout, name: str) -> ServerCommand:
    """How to start `postgres`, `redis` or `nats`, its configuration written and its log empty."""
    arguments, death, stop = _CONFIGURE[name](layout)
    log = layout.log(name)
    log.write_bytes(b"")
    return ServerCommand(name, [layout.programs.find(name), *arguments], log, death, stop)


type _Start = tuple[list[str], signal.Signals, signal.Signals]
"""Arguments, and the signals for its parent's death and for a stop."""

_FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def _postgres(layout: Layout) -> _Start:
    """With room in what all sandboxes share: slots, some of them for bots alone, and locks.

    Who connects and says nothing has a slot for as long as a login may take.
    """
    settings = {
        "listen_addresses": _postgres_addresses(layout.reach),
        "port": str(layout.ports["postgres"]),
        "unix_socket_directories": "",
        "max_connections": str(layout.limits.connections),
        "authentication_timeout": "3s",
        "temp_file_limit": f"{layout.limits.temp_megabytes}MB",
        "max_locks_per_transaction": "128",
        "shared_buffers": "128MB" if layout.durable else "32MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        **({} if layout.postgres_major < 16 else {"reserved_connections": str(layout.limits.reserved)}),
        **({} if layout.durable else _FORGETFUL),
        **_postgres_reach(layout),
    }
    arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return ["-D", str(layout.postgres_data), *arguments], signal.SIGQUIT, signal.SIGINT


def _postgres_addresses(reach: Reach) -> str:
    """`::` is IPv6 alone there."""
    return "*" if reach.listen == "::" else ",".join(reach.listened)


def _postgres_reach(layout: Layout) -> dict[str, str]:
    """From elsewhere only the sandboxes' roles may log in, and in the clear only if that is wanted."""
    reach = layout.reach
    if not reach.is_open:
        return {}
    kind = "host" if reach.certificates is None else "hostssl"
    lines = [
        "host all all 127.0.0.1/32 scram-sha-256",
        f"host all {SUPERUSER},{CONTROL_ROLE} all reject",  # the latter is in the group, to grant it
        f"{kind} {DATABASE} +{WORKER_GROUP} all scram-sha-256",
    ]
    hba = replace_file(layout.folder / "pg_hba.conf", "\n".join(lines) + "\n")
    if reach.certificates is None:
        return {"hba_file": str(hba)}
    files = {"ssl_cert_file": str(reach.certificate("postgres")), "ssl_key_file": str(reach.key("postgres"))}
    return {"hba_file": str(hba), "ssl": "on", **files}


def _redis(layout: Layout) -> _Start:
    """For Valkey and for Redis 7. What Redis 6.2 left in the folder both read, and write anew in their own form."""
    lines = [
        f"bind {'* -::*' if layout.reach.listen == '::' else ' '.join(layout.reach.listened)}",
        *_redis_ports(layout),
        f"requirepass {layout.passwords['redis']}",
        f"dir {_quoted(make_folder(layout.folder / 'redis'))}",
        f"appendonly {'yes' if layout.durable else 'no'}",
        'save ""',
        f"databases {constants.REDIS_DATABASES.stop}",
        f"busy-reply-threshold {constants.SCRIPT_BUSY_AFTER_MS}",
        "crash-memcheck-enabled no",  # which would take seconds of the restart after a script that cannot be killed
        "notify-keyspace-events KEA",  # each sandbox may hear those of its own database
        f"maxmemory {constants.REDIS_MAX_MEMORY}",
        f"proto-max-bulk-len {constants.REDIS_LARGEST_VALUE}",
        "acllog-max-len 0",  # what a worker is refused may have names of megabytes, and would be kept
    ]
    config = replace_file(layout.folder / "redis.conf", "\n".join(lines) + "\n")
    return [str(config)], signal.SIGTERM, signal.SIGTERM


def _redis_ports(layout: Layout) -> list[str]:
    port, reach = layout.ports["redis"], layout.reach
    if reach.certificates is None:
        return [f"port {port}"]
    files = {"cert": reach.certificate("redis"), "key": reach.key("redis"), "ca-cert": reach.authority}
    named = [f"tls-{kind}-file {_quoted(path)}" for kind, path in files.items()]
    return ["port 0", f"tls-port {port}", "tls-auth-clients no", *named]


_NATS_CONFIG = """
server_name: "sandbox-bot-embedded"
listen: "%(listen)s:%(port)d"
%(tls)s
# A line for each thing that a worker is refused, a hundred thousand a second if it tries: the oldest of them go.
log_file: %(log)s
logfile_size_limit: 16MB
logfile_max_num: 4
# Streams reserve what they may hold at most: by default three quarters of the free disk, for some hundred sandboxes.
jetstream { store_dir: %(store)s, max_file_store: 1PB, sync_interval: "%(sync_s)ds" }
max_subscriptions: 10000
system_account: SYS
accounts {
  APP {
    jetstream: enabled
    users: [{ user: "%(user)s", password: "%(password)s" }]
    exports: [
      { service: "$JS.API.CONSUMER.MSG.NEXT.*.worker", accounts: [SANDBOX], response_type: stream, threshold: "35s" }
      { service: "$JS.ACK.*.worker.>", accounts: [SANDBOX], threshold: "5s" }
      { service: "$JS.ACK.%(origin)s.*.worker.>", accounts: [SANDBOX], threshold: "5s" }
      { stream: "sandbox-replay.*.*", accounts: [SANDBOX] }
    ]
  }
  SANDBOX {
    imports: [
      { service: { account: APP, subject: "$JS.API.CONSUMER.MSG.NEXT.*.worker" } }
      { service: { account: APP, subject: "$JS.ACK.*.worker.>" } }
      { service: { account: APP, subject: "$JS.ACK.%(origin)s.*.worker.>" } }
      { stream: { account: APP, subject: "sandbox-replay.*.*" }, to: "$1.$2" }
    ]
    mappings: {
      "$JS.API.STREAM.INFO.*": "sandbox-info.$1.stream"
      "$JS.API.CONSUMER.INFO.*.worker": "sandbox-info.$1.consumer"
    }
  }
  SANDBOX_FULL { limits { max_connections: 0 } }
  AUTH { users: [{ user: "%(auth_user)s", password: "%(auth_password)s" }] }
  SYS { users: [{ user: "%(system_user)s", password: "%(system_password)s" }] }
}
authorization {
  timeout: 3
  auth_callout {
    issuer: %(issuer)s
    account: AUTH
    auth_users: ["%(auth_user)s", "%(user)s", "%(system_user)s"]
  }
}
"""


def _nats(layout: Layout) -> _Start:
    passwords = layout.passwords
    values = {
        "listen": bracketed(layout.reach.listen),
        "port": layout.ports["nats"],
        "tls": _nats_tls(layout.reach),
        "log": _quoted(layout.log("nats")),
        "store": _quoted(make_folder(layout.folder / "nats")),
        "sync_s": constants.NATS_SYNC_EVERY_S if layout.durable else constants.NATS_SYNC_USUALLY_EVERY_S,
        "user": NATS_USER,
        "password": passwords["nats"],
        "auth_user": NATS_AUTH_USER,
        "auth_password": passwords["nats-auth"],
        "system_user": NATS_SYSTEM_USER,
        "system_password": passwords["nats-system"],
        "issuer": account_of(passwords["nats-seed"]),
        "origin": f"_.{hash_of('APP')}",
    }
    config = replace_file(layout.folder / "nats.conf", _NATS_CONFIG % values)
    return ["-c", str(config)], signal.SIGTERM, signal.SIGTERM


def _nats_tls(reach: Reach) -> str:
    if reach.certificates is None:
        return ""
    certificate, key = _quoted(reach.certificate("nats")), _quoted(reach.key("nats"))
    return f"tls {{ cert_file: {certificate}, key_file: {key}, timeout: 3 }}"


_CONFIGURE: dict[str, Callable[[Layout], _Start]] = {"postgres": _postgres, "redis": _redis, "nats": _nats}


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
