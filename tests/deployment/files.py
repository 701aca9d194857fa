"""The files for operators against the schemas, and by the programs, of what reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.deployment.image import REPOSITORY
from tests.deployment.root import said_by

_CHECKERS = REPOSITORY / ".venv-deployment" / "bin"
_DEPLOY = REPOSITORY / "deploy"
_KUBERNETES = (_DEPLOY / "kubernetes.yaml", _DEPLOY / "kubernetes-stores.yaml")
_COMPOSE = (REPOSITORY / "compose.yaml", _DEPLOY / "compose.tls.yaml")
_SERVICE = _DEPLOY / "sandbox-bot.service"
_INSTALLED = "/opt/sandbox-bot/bin/sandbox-bot"
_VERSIONS = ("1.30", "1.37")
"""Of Kubernetes: an old one, and the newest that the checker knows."""
_MOST_EXPOSED = "20"
"""Of 100, as systemd counts."""


def check_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Claims, each with what refutes it or nothing."""
    for version in _VERSIONS:
        validate = [str(_CHECKERS / "kubernetes-validate"), "--strict", "--quiet", "-k", version]
        yield f"Kubernetes {version} takes its files", _fault(*validate, *map(str, _KUBERNETES))
    compose = [str(_CHECKERS / "check-jsonschema"), "--quiet", "--builtin-schema", "vendor.compose-spec"]
    yield "both files are as the Compose specification has it", _fault(*compose, *map(str, _COMPOSE))
    yield (
        "hadolint has nothing against the Dockerfile",
        _fault(str(_CHECKERS / "hadolint"), str(REPOSITORY / "Dockerfile")),
    )
    for unit in _copied_units(folder):
        yield f"systemd understands {unit.name}", _fault("systemd-analyze", "verify", str(unit))
    exposure = said_by(["systemd-analyze", "security", "--offline=yes", f"--threshold={_MOST_EXPOSED}", str(_SERVICE)])
    yield "systemd calls the service well confined", exposure.stdout if exposure.returncode else ""


def _copied_units(folder: Path) -> list[Path]:
    """With a program that there is here in the place of ours: systemd looks for it."""
    copies = [folder / unit.name for unit in sorted(_DEPLOY.glob("sandbox-bot.*"))]
    for copy in copies:
        copy.write_text((_DEPLOY / copy.name).read_text().replace(_INSTALLED, sys.executable))
    return copies


def _fault(*command: str) -> str:
    """What it says, for it says nothing of what is right; or its exit code."""
    done = said_by(command)
    return done.stdout or (f"exit code {done.returncode}" if done.returncode else "")
