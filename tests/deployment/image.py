"""What a container engine would make of the Dockerfile, on a root of its own: where the tests run there is none.

Python's official image is left out: `root.make_root` makes what it is made of. What pip installs was downloaded before.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.dockerfile import Instruction, Stage, environment_of, read_stages
from tests.deployment.root import Root, said_by

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "Dockerfile"
_WHEELS = "/wheels"
_OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": _WHEELS, "PIP_ROOT_USER_ACTION": "ignore"}


@dataclass(frozen=True)
class Image:
    """What was built, and how it is run if nothing else is said."""

    root: Root
    stage: Stage

    @property
    def user(self) -> str:
        """With its group, as chroot takes them."""
        number = self.stage.of("USER")[-1]
        return f"{number}:{number}"

    @property
    def folder(self) -> str:
        return self.stage.of("WORKDIR")[-1]

    def command(self, *argv: str, mounts: Mapping[str, Path] | None = None, **environment: str) -> list[str]:
        """What runs the entry point with such arguments, or with those of CMD, in an image that nobody can write to."""
        volumes = {volume: self.root.path(volume) for volume in self.stage.of("VOLUME")}
        return self.root.command(
            [*self.stage.words("ENTRYPOINT"), *(argv or self.stage.words("CMD"))],
            self.stage.environment | environment,
            user=self.user,
            folder=self.folder,
            mounts=volumes | dict(mounts or {}),
            read_only=True,
        )


def download_wheels(folder: Path) -> None:
    """Of all that the Dockerfile has pip install, and of what builds it, in the versions of constraints.txt."""
    (run,) = read_stages(DOCKERFILE)[0].of("RUN")
    ours = [word for word in shlex.split(run) if word.startswith(".")]
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", str(folder))
    subprocess.run([*pip, "-c", "constraints.txt", "hatchling", *ours], cwd=REPOSITORY, check=True)


def build(base: Root, folder: Path, wheels: Path) -> Image:
    """Each stage from the base, in a folder of its own."""
    roots: dict[str, Root] = {}
    for stage in read_stages(DOCKERFILE):
        roots[stage.name] = base.copy(folder / stage.name)
        _Builder(roots, stage, wheels).build()
    return Image(roots[stage.name], stage)


class _Builder:
    """Carries out what changes a stage's files; the other instructions are for whoever runs it."""

    def __init__(self, roots: dict[str, Root], stage: Stage, wheels: Path) -> None:
        self._roots, self._stage, self._wheels = roots, stage, wheels
        self._root = roots[stage.name]
        self._folder, self._environment = "/", dict[str, str]()
        self._steps: dict[str, Callable[[str], None]] = {
            "COPY": self._copy,
            "ENV": self._set,
            "RUN": self._run,
            "WORKDIR": self._enter,
        }

    def build(self) -> None:
        for instruction in self._stage.instructions:
            if step := self._steps.get(instruction.name):
                print(*_shown(instruction), flush=True)  # noqa: T201
                step(instruction.value)

    def _copy(self, value: str) -> None:
        *sources, target = value.split()
        to = self._root.path(str(Path(self._folder, target)))
        if sources[0].startswith("--from="):
            origin = self._roots[sources.pop(0).removeprefix("--from=")]
            for source in sources:
                subprocess.run(["cp", "-aT", origin.path(source), to], check=True)
            return
        for source in sources:
            found = REPOSITORY / source
            if found.is_dir():
                shutil.copytree(found, to, dirs_exist_ok=True, ignore=_ignored)
            else:
                shutil.copy2(found, to)

    def _enter(self, value: str) -> None:
        self._folder = value
        self._root.path(value).mkdir(parents=True, exist_ok=True)

    def _set(self, value: str) -> None:
        self._environment |= environment_of(value)

    def _run(self, value: str) -> None:
        environment, mounts = self._environment | _OFFLINE, {_WHEELS: self._wheels}
        done = said_by(self._root.command(["sh", "-c", value], environment, folder=self._folder, mounts=mounts))
        if done.returncode:
            sys.exit(f"RUN {value}: exit code {done.returncode}\n{done.stdout[-3000:]}")


def _ignored(folder: str, names: list[str]) -> set[str]:
    """As .dockerignore has it: by a name in the repository's own folder, or anywhere."""
    lines = (REPOSITORY / ".dockerignore").read_text().split()
    patterns = [line.removeprefix("**/") for line in lines if line.startswith("**/") or Path(folder) == REPOSITORY]
    return shutil.ignore_patterns(*patterns)(folder, names)


def _shown(instruction: Instruction) -> tuple[str, str]:
    return instruction.name, instruction.value if len(instruction.value) < 90 else f"{instruction.value[:90]} …"
