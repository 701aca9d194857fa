"""The distributions of this tree, built and installed where somebody else would have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"discord-sandboxes": ".", "local-discord": "local_discord", "sandbox-worker": "sandbox_worker"}


class Surroundings:
    """A virtual environment of its own, and a project's folder that it is used in."""

    def __init__(self, folder, interpreter=sys.executable):
        self.project = folder / "project"
        self.project.mkdir()
        self.bin = folder / "venv" / "bin"
        self.python = str(self.bin / "python")
        # Its pip is this environment's: to install another one takes as long as all the rest.
        self.run(interpreter, "-m", "venv", "--without-pip", str(folder / "venv"))

    def install(self, *what):
        """Where each distribution comes from, by its name: a wheel that is given as a file is looked up nowhere."""
        report = self.project.parent / "report.json"
        self._pip("install", "--no-compile", "--report", report, *what)
        installed = json.loads(report.read_text())["install"]
        return {one["metadata"]["name"].lower(): one["download_info"]["url"] for one in installed}

    def uninstall(self, *names):
        """So that what takes their place finds no rest of them."""
        self._pip("uninstall", "--yes", *names)

    def _pip(self, command, *arguments):
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--quiet", "--disable-pip-version-check")
        self.run(*pip, command, *map(str, arguments))

    def run(self, *command):
        """What a command says in the project's folder; it may not fail."""
        done = subprocess.run(command, cwd=self.project, env=_environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def _environ():
    """Without what would lead a program to this environment, or to another sandbox."""
    foreign = ("PYTHON", "PYTEST", "SANDBOX_", "BOT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


class Wheels(dict[str, Path]):
    """By a distribution's name; each is built when it is first asked for."""

    def __init__(self, folder):
        self._folder = folder

    def __missing__(self, name):
        build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(self._folder))
        subprocess.run(build, cwd=ROOT / FOLDERS[name], check=True, capture_output=True)
        self[name] = next(self._folder.glob(f"{name.replace('-', '_')}-*.whl"))
        return self[name]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """The wheels of this tree's distributions, without a registry's knowledge of their names."""
    return Wheels(tmp_path_factory.mktemp("wheels"))
