"""The distributions of this tree, built and installed where somebody else would have them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.e2e.conftest import discord, open_scene, scene, settings_of

__all__ = ["discord", "open_scene", "scene", "settings_of"]

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

    def lend(self, *names):
        """What this environment has under these names, with all that it needs but our own: pip would read long lists
        of files for it."""
        site = Path(self.say("import sysconfig; print(sysconfig.get_path('purelib'))"))
        for one in _with_what_it_needs(names):
            for file in one.files:
                if ".." not in file.parts and file.suffix != ".pyc":
                    (site / file).parent.mkdir(parents=True, exist_ok=True)
                    (site / file).symlink_to(one.locate_file(file))

    def install(self, *what):
        """Where each distribution comes from, by its name: a wheel that is given as a file is looked up nowhere."""
        report = self.project.parent / "report.json"
        self._pip("install", "--no-compile", "--report", report, *what)
        installed = json.loads(report.read_text())["install"]
        return {one["metadata"]["name"].lower(): one["download_info"]["url"] for one in installed}

    def uninstall(self, *names):
        """So that what takes their place finds no rest of them."""
        self._pip("uninstall", "--yes", *names)

    def versions(self):
        """Of all that is installed, by name."""
        program = (
            "import json; from importlib.metadata import distributions;"
            "print(json.dumps({one.name.lower(): one.version for one in distributions()}))"
        )
        return json.loads(self.say(program))

    def say(self, program):
        """What a program says that is run in the project's folder."""
        return self.run(self.python, "-c", program)

    def start(self, *command):
        """A process in the project's folder."""
        return asyncio.create_subprocess_exec(
            *command, cwd=self.project, env=_environ(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )

    def _pip(self, command, *arguments):
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--quiet", "--disable-pip-version-check")
        self.run(*pip, command, *map(str, arguments))

    def run(self, *command):
        """What a command says in the project's folder; it may not fail."""
        done = subprocess.run(command, cwd=self.project, env=_environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def _with_what_it_needs(names):
    """Distributions of this environment, in no order."""
    seen, left = {}, [Requirement(name) for name in names]
    while left:
        wanted = left.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen[key] = distribution(wanted.name)
        for needed in map(Requirement, seen[key].requires or ()):
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                left.append(needed)
    return {name: found for (name, _), found in seen.items() if name not in FOLDERS}.values()


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


@pytest.fixture
def constraints(tmp_path):
    """The versions that this project is tested with, but for those that a test chooses by itself."""

    def but_for(*names):
        lines = (ROOT / "constraints.txt").read_text().splitlines()
        path = tmp_path / "constraints.txt"
        path.write_text("\n".join(line for line in lines if line.partition("==")[0] not in names))
        return path

    return but_for
