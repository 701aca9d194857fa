"""compose.yaml and the files over it, read as `docker compose` does, as far as they use it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
COMPOSE, COMPOSE_TLS = REPOSITORY / "compose.yaml", REPOSITORY / "deploy" / "compose.tls.yaml"
MOUNTED = "/run/secrets"


@dataclass(frozen=True, slots=True)
class Service:
    """One of them. `secrets` are files outside by their path inside, `volumes` too where they have a name or a path."""

    name: str
    entry: Mapping[str, Any]
    secrets: Mapping[str, Path]
    volumes: Mapping[str, Path]

    @property
    def argv(self) -> list[str]:
        """What is started, if it is all said here."""
        words = [*self.entry.get("entrypoint", ()), *self.entry.get("command", ())]
        return [word.replace("$$", "$") for word in words]

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.entry.get("environment", {}))


@dataclass(frozen=True, slots=True)
class Composed:
    """All services, whose files lie in a folder."""

    entries: Mapping[str, Any]
    folder: Path

    @property
    def services(self) -> dict[str, Service]:
        return {name: self._service(name, entry) for name, entry in self.entries["services"].items()}

    @property
    def secrets(self) -> dict[str, Path]:
        """The files, by the names that services use."""
        return {name: self.folder / entry["file"] for name, entry in self.entries["secrets"].items()}

    def _service(self, name: str, entry: Mapping[str, Any]) -> Service:
        uses = (use if isinstance(use, dict) else {"source": use, "target": use} for use in entry.get("secrets", ()))
        secrets = {f"{MOUNTED}/{use['target']}": self.secrets[use["source"]] for use in uses}
        mounts = (volume.split(":") for volume in entry.get("volumes", ()))
        return Service(name, entry, secrets, {inside: self._outside(named) for named, inside, *_ in mounts})

    def _outside(self, named: str) -> Path:
        return REPOSITORY / named if named.startswith(".") else self.folder / "volumes" / named


def read_compose(folder: Path, *, tls: bool = False, **variables: str) -> Composed:
    """`KeyError` with its complaint for a variable that is missing."""
    entries = _interpolated(COMPOSE, variables)
    if tls:
        _merge(entries, _interpolated(COMPOSE_TLS, variables))
    return Composed(entries, folder)


def _interpolated(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """`${NAME}`, `${NAME:-default}`, and `${NAME:?complaint}`."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if kind != ":-" and not variables.get(name):
            raise KeyError(rest or name)
        return variables.get(name) or rest

    entries: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, path.read_text()))
    return entries


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Mappings by their keys, `secrets` joined, and anything else, commands too, replaced."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        elif key == "secrets" and key in below:
            below[key] = below[key] + value
        else:
            below[key] = value
