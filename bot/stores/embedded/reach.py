"""Where the embedded servers can be reached: on loopback alone, or from other machines too, by TLS or in the clear."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bot import constants
from bot.stores.embedded.errors import EmbeddedError
from bot.stores.embedded.programs import Programs
from sandbox_worker.tls import trusting_alone

LOOPBACK = "127.0.0.1"
_SETTING = {"postgres": "postgres", "redis": "valkey"}


@dataclass(frozen=True, slots=True)
class Reach:
    """`listen` is an address of this machine, or of all of them; `host` what others call it. `certificates` is the
    folder that `sandbox-bot certificates` has written; None: workers come without TLS."""

    listen: str = LOOPBACK
    host: str = LOOPBACK
    certificates: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether other machines reach the servers."""
        return not ipaddress.ip_address(self.listen).is_loopback

    @property
    def is_everywhere(self) -> bool:
        """Whether all addresses of this machine are listened on."""
        return ipaddress.ip_address(self.listen).is_unspecified

    @property
    def listened(self) -> tuple[str, ...]:
        """What PostgreSQL and Valkey listen on, the bot's own way to them first; the bot itself stays on loopback."""
        if self.is_everywhere:
            return (self.listen,)
        return (LOOPBACK,) if self.listen == LOOPBACK else (LOOPBACK, self.listen)

    @property
    def own_nats(self) -> str:
        """Where the bot reaches NATS, which listens on one address."""
        return LOOPBACK if self.is_everywhere else self.listen

    def certificate(self, store: str) -> Path:
        """The server's, of which the key is beside it."""
        assert self.certificates is not None
        return self.certificates.absolute() / f"{store}.pem"

    def key(self, store: str) -> Path:
        """Of its certificate."""
        return self.certificate(store).with_suffix(".key")

    @property
    def authority(self) -> Path:
        """Whose certificates the bot and the workers trust."""
        return self.certificate("ca")

    def client_tls(self) -> ssl.SSLContext | None:
        """For the bot's own way to the servers, whose certificates are for the workers' names; None without TLS."""
        return None if self.certificates is None else trusting_alone(self.authority)


def bracketed(host: str) -> str:
    """As it stands in an address."""
    return f"[{host}]" if ":" in host else host


async def require_tls(reach: Reach, programs: Programs, store: str, data: Path) -> None:
    """`EmbeddedError` if the store's server cannot speak TLS, or has no certificate. `data` is PostgreSQL's own."""
    if reach.certificates is None:
        return
    for file in (reach.certificate(store), reach.key(store), reach.authority):
        if not file.is_file():
            raise EmbeddedError(
                f"workers.certificates: there is no {file}. `sandbox-bot certificates {reach.host}` makes it."
            )
    if store in _SETTING and not await asyncio.to_thread(_speaks_tls, programs.find(store), store, data):
        raise EmbeddedError(
            f"{programs.find(store)} has no TLS, which workers.listen = {reach.listen} needs. Name a server that has "
            f"it in [embedded] {_SETTING[store]}; or, if the network is protected otherwise, leave out "
            "workers.certificates and set workers.plaintext = true."
        )


def _speaks_tls(program: str, store: str, data: Path) -> bool:
    """PostgreSQL names its library; Valkey and Redis miss their certificate, if they can have one, and end."""
    if store == "postgres":
        return bool(_said([program, "-C", "ssl_library", "-D", str(data)]).strip())
    return "Failed to configure TLS" in _said([program, "--port", "0", "--tls-port", "1"])


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=constants.PROGRAM_VERSION_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"{command[0]} cannot be run as a server: {type(error).__name__}.") from error
    return done.stdout.decode(errors="replace")
