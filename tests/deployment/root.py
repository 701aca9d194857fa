"""A file system of its own, from Debian's packages alone, in which commands are run as a container engine would."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.dockerfile import PATH

_NEEDED = ("_bz2", "_ctypes", "_lzma", "_sqlite3", "_ssl", "pyexpat", "readline", "zlib")
"""Modules of Python's official image that are linked with Debian's libraries."""
_UNUSED = shutil.ignore_patterns("__pycache__", "site-packages", "test", "tests", "idlelib", "turtledemo", "*.a")
_START = """
root=$1 user=$2 folder=$3 mode=$4 mounts=$5
shift 5
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
for empty in dev/shm run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$empty"; done
while read -r outside inside; do
    if [ -z "$outside" ]; then continue; fi
    mkdir -p "$root$(dirname "$inside")"
    if [ -d "$outside" ]; then mkdir -p "$root$inside"; else touch "$root$inside"; fi
    mount --bind "$outside" "$root$inside"
done <<< "$mounts"
mount -o "remount,bind,$mode" "$root"
exec chroot --userspec="$user" "$root" env -i --chdir="$folder" "$@"
"""
"""Runs as the first process of a namespace of processes, and of one of mounts."""


def leave_the_network() -> None:
    """From here on this process and its children have mounts of their own, and of the network loopback alone."""
    os.unshare(os.CLONE_NEWNS | os.CLONE_NEWNET)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@dataclass(frozen=True)
class Root:
    """One in a folder. Whoever uses it is root."""

    folder: Path

    def path(self, inside: str) -> Path:
        """Where a path inside is outside."""
        return self.folder / inside.lstrip("/")

    def copy(self, folder: Path) -> Root:
        """Another one like it, in the place of what is there."""
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", self.folder, folder], check=True)
        return Root(folder)

    def command(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        user: str = "0:0",
        folder: str = "/",
        mounts: Mapping[str, Path] | None = None,
        read_only: bool = False,
    ) -> list[str]:
        """What runs a command in there, as the first of its processes; they end with it.

        `mounts`: what lies outside by the path where it is inside. Temporary files are in memory, each time new ones.
        """
        variables = [f"{name}={value}" for name, value in ({"PATH": PATH} | dict(environment)).items()]
        lines = "".join(f"{outside} {inside}\n" for inside, outside in (mounts or {}).items())
        start = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", _START, "start")
        return [*start, str(self.folder), user, folder, "ro" if read_only else "rw", lines, *variables, *argv]


def said_by(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Its exit code and all that it has said."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def make_root(folder: Path, *more: str) -> Root:
    """Debian's smallest set of packages, and this Python where its official image has it. Kept for the next
    time. `more`: packages beside those."""
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        packages = ",".join(["ca-certificates", *sorted(_packages()), *more])
        _run("debootstrap", "--variant=minbase", f"--include={packages}", _suite(), str(unfinished))
        _add_python(Root(unfinished))
        unfinished.rename(folder)
    return Root(folder)


def _add_python(root: Root) -> None:
    here, there = Path(sys.base_prefix), root.path("/usr/local")
    version = _python()
    for library in (here / "lib").glob("libpython*.so*"):
        shutil.copy2(library, there / "lib", follow_symlinks=False)
    shutil.copytree(here / "lib" / version, there / "lib" / version, ignore=_UNUSED)
    shutil.copy2(here / "bin" / version, there / "bin" / version)
    for name in ("python", "python3"):
        (there / "bin" / name).symlink_to(version)
    done = said_by(root.command(["ldconfig"], {}))
    assert done.returncode == 0, done.stdout


def _packages() -> set[str]:
    """Those that this Python's modules are linked with."""
    folder = Path(sys.base_prefix) / "lib" / _python() / "lib-dynload"
    modules = [str(file) for name in _NEEDED for file in folder.glob(f"{name}.*")]
    linked = re.findall(r"=> /(?:usr/)?(lib/\S+)", _run("ldd", *modules))
    patterns = [f"*/{Path(library).name}" for library in sorted(set(linked)) if "libpython" not in library]
    return {line.partition(":")[0] for line in _run("dpkg", "--search", *patterns).splitlines()}


def _python() -> str:
    return f"python{sysconfig.get_python_version()}"


def _suite() -> str:
    """Debian's, on which this Python was built."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def _run(*command: str) -> str:
    """What it says; it may not fail."""
    done = said_by(command)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout
