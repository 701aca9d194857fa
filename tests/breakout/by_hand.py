"""The three servers as a DBA would set them up: `sql/bootstrap.sql`, a `redis.conf`, `examples/nats.conf`."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from bot.stores.embedded.configuration import launch_command
from bot.stores.embedded.programs import nats_program, postgres_program, valkey_program
from bot.stores.nats_access import Callout
from bot.stores.nats_jwt import account_of, new_account_seed
from bot.stores.postgres import sql_folder

POSTGRES = Path(os.environ.get("POSTGRES_BIN") or Path(postgres_program("postgres")).parents[2] / "pginstall" / "bin")
"""Another one than the embedded, which is the newest in the wheel. So REDIS_SERVER and NATS_SERVER."""

EXAMPLES = Path(__file__).parents[2] / "examples"


class ServersByHand:
    """Has what `EmbeddedStores` has: the addresses, with passwords."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_hex(16)
        self.ports = {name: free_port() for name in ("postgres", "redis", "nats")}
        self.seed = new_account_seed()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.nats_changes: dict[str, str] = {}

    @property
    def database_url(self):
        return f"postgresql://sandbox_bot:{self.password}@127.0.0.1:{self.ports['postgres']}/sandboxes"

    @property
    def redis_url(self):
        return f"redis://default:{self.password}@127.0.0.1:{self.ports['redis']}"

    @property
    def nats_url(self):
        return self._nats_url("sandbox-bot")

    @property
    def nats_callout(self):
        return Callout(self._nats_url("sandbox-auth"), self._nats_url("sandbox-system"), self.seed)

    def superuser_url(self, database="sandboxes"):
        return f"postgresql://dba:{self.password}@127.0.0.1:{self.ports['postgres']}/{database}"

    def bootstrap(self, *options, user="dba", password=None):
        """What psql says to the script."""
        psql = [POSTGRES / "psql", "-X", "-q", *options, "-f", sql_folder() / "bootstrap.sql"]
        done = subprocess.run(
            [*psql, "-h", "127.0.0.1", "-p", str(self.ports["postgres"]), "-U", user, "postgres"],
            env=os.environ | {"PGPASSWORD": password or self.password, "SANDBOX_BOT_PASSWORD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    async def restart_redis(self):
        """As after a crash: without saving anything."""
        self.processes["redis"].kill()
        self.processes["redis"].wait(10)
        self.processes["redis"] = _start_redis(self)
        await until_listening(self.ports["redis"])

    def _nats_url(self, user):
        return f"nats://{user}:{self.password}@127.0.0.1:{self.ports['nats']}"


class OtherNats(ServersByHand):
    """A NATS set up by hand beside the other stores of somebody else."""

    def __init__(self, folder: Path, stores, *, flag: bool = False, domain: str = "", without: tuple = ()) -> None:
        """With the `flag`, its acknowledgements are those of newer servers; JetStream may have a `domain`. It does
        `without` these lines of the example."""
        super().__init__(folder)
        self.stores = stores
        self.nats_changes |= dict.fromkeys(without, "# ")
        if flag:
            self.nats_changes["system_account:"] = "feature_flags { js_ack_fc_v2: true }\nsystem_account:"
        if domain:
            self.nats_changes["max_file_store: 1PB"] = f"max_file_store: 1PB, domain: {domain}"
            self.nats_changes["$JS.ACK._."] = f"$JS.ACK.{domain}."

    @property
    def database_url(self):
        return self.stores.database_url

    @property
    def redis_url(self):
        return self.stores.redis_url

    def superuser_url(self, database="sandboxes"):
        return self.stores.superuser_url(database)


@asynccontextmanager
async def other_nats(folder, stores, **chosen):
    servers = OtherNats(folder, stores, **chosen)
    while True:
        process = servers.processes["nats"] = _start_nats(servers)
        try:
            if await _has_port(process, servers.ports["nats"]):
                yield servers
                return
        finally:
            _stop(servers, "nats")
        servers.ports["nats"] = free_port()


async def _has_port(process, port):
    """Or another program has taken it first."""
    listening = asyncio.create_task(until_listening(port))
    while not listening.done() and process.poll() is None:
        await asyncio.wait([listening], timeout=0.05)
    if process.poll() is not None:
        listening.cancel()
        return False
    await listening
    return True


@asynccontextmanager
async def servers_by_hand(folder):
    servers = ServersByHand(folder)
    async with AsyncExitStack() as stack:
        for name, start in (("postgres", _start_postgres), ("redis", _start_redis), ("nats", _start_nats)):
            servers.processes[name] = start(servers)
            stack.callback(_stop, servers, name)
        for port in servers.ports.values():
            await until_listening(port)
        await _until_postgres_is_ready(servers)
        await asyncio.to_thread(servers.bootstrap)
        yield servers


def _start_postgres(servers):
    data, password = servers.folder / "postgres", servers.folder / "password"
    password.write_text(servers.password)
    options = ["-D", str(data), "-U", "dba", f"--pwfile={password}", "--auth=scram-sha-256", "--locale=C", "--no-sync"]
    _run(launch_command([str(POSTGRES / "initdb"), *options], signal.SIGKILL))
    with (data / "postgresql.conf").open("a") as config:
        config.write(
            f"listen_addresses = '127.0.0.1'\nport = {servers.ports['postgres']}\nunix_socket_directories = ''\n"
            "shared_buffers = 32MB\nfsync = off\nsynchronous_commit = off\n"
            "max_connections = 60\nmax_locks_per_transaction = 10\n"
        )
    argv = [str(POSTGRES / "postgres"), "-D", str(data)]
    return _start(servers, launch_command(argv, signal.SIGQUIT))


def _start_redis(servers):
    config = servers.folder / "redis.conf"
    config.write_text(
        f'bind 127.0.0.1\nport {servers.ports["redis"]}\nrequirepass {servers.password}\nsave ""\n'
        f"dir {servers.folder}\n"
    )
    program = os.environ.get("REDIS_SERVER") or valkey_program()
    return _start(servers, [program, str(config)])


def _start_nats(servers):
    lines = (EXAMPLES / "nats.conf").read_text()
    address = {"0.0.0.0:4222": f"127.0.0.1:{servers.ports['nats']}", "/data": f"{servers.folder}/nats"}
    for theirs, ours in (address | servers.nats_changes).items():
        assert theirs in lines
        lines = lines.replace(theirs, ours)
    config = servers.folder / "nats.conf"
    config.write_text(lines)
    users = {f"SANDBOX_{user}_PASSWORD": servers.password for user in ("BOT", "AUTH", "SYSTEM")}
    program = os.environ.get("NATS_SERVER") or nats_program()
    return _start(servers, [program, "-c", str(config)], SANDBOX_ISSUER=account_of(servers.seed), **users)


def _start(servers, argv, **environment):
    with (servers.folder / f"{Path(argv[-1]).name}.log").open("wb") as log:
        return subprocess.Popen(argv, env=os.environ | environment, stdout=log, stderr=log)


def _stop(servers, name):
    servers.processes[name].send_signal(signal.SIGINT)
    servers.processes[name].wait(10)


def _run(argv):
    subprocess.run(argv, check=True, capture_output=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_listening(port):
    async with asyncio.timeout(15):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


async def _until_postgres_is_ready(servers):
    async with asyncio.timeout(15):
        while True:
            with suppress(asyncpg.CannotConnectNowError, OSError):
                await (await asyncpg.connect(servers.superuser_url("postgres"))).close()
                return
            await asyncio.sleep(0.02)
