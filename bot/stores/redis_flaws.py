"""Which versions of Redis and Valkey fall to what a sandbox's user may do, and from which version on they don't.

A server's version says what its makers have mended; what a distribution has mended in an old version shows in none, so
that such a server counts as open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

type Version = tuple[int, int, int]

_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def parse_version(written: str) -> Version:
    """`7.0.15` and what may follow it; zeros, older than anything, for what is no version."""
    found = _NUMBERS.match(written)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Releases:
    """Of one product: since when it has a flaw, and the version of each series (`7.2`, `8.0`) that has it mended.

    A series that is missing has it still, unless it is newer than all those named here.
    """

    mended: str = ""
    since: str = "0.0.0"

    def fall(self, version: Version) -> bool:
        """Whether that version has the flaw."""
        if version < parse_version(self.since):
            return False
        mended = [parse_version(each) for each in self.mended.split()]
        in_series = [each for each in mended if each[:2] == version[:2]]
        if in_series:
            return version < in_series[0]
        return not mended or version < max(mended)


@dataclass(frozen=True, slots=True)
class Flaw:
    """What a sandbox's user can do with it stands in its CVE. None for a product that has never had it."""

    name: str
    redis: Releases | None = None
    valkey: Releases | None = None
    commands: str = ""
    """ACL names of the commands that fall, which a sandbox's user does without there."""
    closed_without_commands: bool = False
    """Whether nothing is left of it then: only a command's keys were not checked, the server itself is sound."""
    unless: Mapping[str, str] = field(default_factory=dict)
    """Settings with the value, the default, at which the flaw cannot be reached."""

    def open_in(self, product: str, version: Version, settings: Mapping[str, str]) -> bool:
        """Whether a server has it. A setting that it does not know is at its default."""
        releases = self.valkey if product == "Valkey" else self.redis
        reachable = not self.unless or any(settings.get(name, value) != value for name, value in self.unless.items())
        return releases is not None and reachable and releases.fall(version)


FLAWS = (
    Flaw(
        "CVE-2025-32023",  # a crafted HyperLogLog writes out of bounds
        Releases("6.2.19 7.2.10 7.4.5 8.0.3"),
        Releases("7.2.10 8.0.4 8.1.3"),
        "@hyperloglog",
    ),
    Flaw(
        "CVE-2024-31228",  # a long pattern overflows the stack
        Releases("6.2.16 7.2.6 7.4.1"),
        Releases("7.2.7 8.0.1"),
        "hscan sscan zscan",
    ),
    Flaw("CVE-2025-62507", Releases("8.2.3", since="8.2.0"), commands="xackdel"),  # overflows the stack
    Flaw("CVE-2023-28856", Releases("6.2.12 7.0.11"), commands="hincrbyfloat"),  # a field that ends whoever reads it
    Flaw("CVE-2023-28425", Releases("7.0.10", since="7.0.8"), commands="msetnx"),  # ends the server
    Flaw("CVE-2023-25155", Releases("6.2.11 7.0.9"), commands="srandmember zrandmember hrandfield"),
    Flaw("CVE-2022-36021", Releases("6.2.11 7.0.9"), commands="hscan sscan zscan"),  # a pattern that never ends
    Flaw("CVE-2022-35977", Releases("6.2.9 7.0.8"), commands="setrange"),  # all memory
    Flaw("CVE-2022-35951", Releases("7.0.5", since="7.0.0"), commands="xautoclaim"),  # overflows the heap
    Flaw("CVE-2021-32625", Releases("6.2.4"), commands="stralgo"),  # overflows the heap
    # What takes no command of ours: whoever reaches the server can do it.
    Flaw("CVE-2025-21605", Releases("6.2.18 7.2.8 7.4.3"), Releases("7.2.9 8.0.3 8.1.1")),  # all memory
    Flaw("CVE-2023-41056", Releases("7.0.15 7.2.4", since="7.0.9")),
    Flaw("CVE-2026-27623", valkey=Releases("9.0.3", since="9.0.0")),  # an empty request ends the server
    Flaw(
        "CVE-2026-81934",  # freed memory is used in what TLS has left over
        Releases("6.2.24 7.2.16 7.4.11 8.2.9 8.4.6 8.6.6 8.8.2 8.10.1"),
        unless={"tls-port": "0"},
    ),
    Flaw(
        "CVE-2026-23479",  # freed memory is used when a blocked client is evicted
        Releases("7.2.14 7.4.9 8.2.6 8.4.3 8.6.3", since="7.2.0"),
        unless={"maxmemory-clients": "0"},
    ),
    Flaw(
        "CVE-2026-130822",  # the like
        valkey=Releases("7.2.16 8.0.13 8.1.12 9.0.8 9.1.4"),
        unless={"maxmemory-clients": "0"},
    ),
    # Commands whose keys the ACL does not check: they write under any name. No release of Redis is known to be mended.
    Flaw(
        "PFMERGE without sources",
        Releases(since="7.0.0"),
        Releases("7.2.16 8.0.13 8.1.12 9.0.8 9.1.4"),
        "pfmerge",
        closed_without_commands=True,
    ),
    Flaw(
        "GEORADIUS with two STORE",
        Releases(since="7.0.0"),
        Releases("8.0.11 8.1.10 9.0.6 9.1.2"),
        "georadius georadiusbymember",
        closed_without_commands=True,
    ),
)

SCRIPT_FLAWS = (
    Flaw(
        "CVE-2025-49844 and three more",  # freed memory is used, numbers overflow, others' context is changed
        Releases("6.2.20 7.2.11 7.4.6 8.0.4 8.2.2"),
        Releases("7.2.11 8.0.6 8.1.4"),
    ),
)
"""What a server falls to by scripts alone, which a sandbox's user gets only where there are none of these, or where
somebody has said so."""

SETTINGS = sorted({name for flaw in FLAWS for name in flaw.unless})
"""Those that decide whether a flaw can be reached."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server as far as its flaws go: `product` is `Redis` or `Valkey`."""

    product: str
    version: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def flaws(self) -> Sequence[Flaw]:
        """Those of the table that it has."""
        version = parse_version(self.version)
        return [flaw for flaw in FLAWS if flaw.open_in(self.product, version, self.settings)]

    @property
    def keeps_scripts_apart(self) -> bool:
        """Whether a script's keys are checked one by one, and what it sets is not there for the next: from 7 on."""
        return parse_version(self.version) >= (7, 0, 0)

    @property
    def withdrawn(self) -> list[str]:
        """What its sandboxes' users do without, as ACL rules."""
        return _without(self.flaws)

    @property
    def withdrawn_in_databases(self) -> list[str]:
        """The same of users with a database of their own, where no command's keys have to be checked."""
        return _without([flaw for flaw in self.flaws if not flaw.closed_without_commands])

    @property
    def weakness(self) -> str | None:
        """Why it confines nobody who wants out, whatever the ACL says; None if it does."""
        return self._open_to([flaw for flaw in self.flaws if not flaw.closed_without_commands])

    @property
    def script_weakness(self) -> str | None:
        """As `weakness`, by what scripts reach: only where there are some."""
        return self._open_to(self._script_flaws)

    @property
    def weakness_with_scripts(self) -> str | None:
        """Both."""
        confining = [flaw for flaw in self.flaws if not flaw.closed_without_commands]
        return self._open_to([*confining, *self._script_flaws])

    @property
    def _script_flaws(self) -> Sequence[Flaw]:
        version = parse_version(self.version)
        return [flaw for flaw in SCRIPT_FLAWS if flaw.open_in(self.product, version, self.settings)]

    def _open_to(self, flaws: Sequence[Flaw]) -> str | None:
        if not flaws:
            return None
        names = ", ".join(flaw.name for flaw in flaws)
        return f"{self.product} {self.version} is open to {names}; install a current version"


def _without(flaws: Sequence[Flaw]) -> list[str]:
    return sorted({f"-{command}" for flaw in flaws for command in flaw.commands.split()})
