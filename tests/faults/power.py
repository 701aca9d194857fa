"""Disks whose power can be cut: what no program has had synced is lost, as far as the kernel has not written it yet."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

_PAGE = os.sysconf("SC_PAGESIZE")
_ON_DISK = "/var/tmp"
_UNMOUNTED_WITHIN_S = 20.0
_CACHESTAT = 451
"""The system call's number, the same on all machines."""


class LoopDisk:
    """A file system in a file. What the file holds at the cut is what a disk would."""

    def __init__(self, folder: Path) -> None:
        self.mounted = folder / "disk"
        self._image = folder / "image"

    @staticmethod
    def is_possible() -> bool:
        return os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None

    def __enter__(self) -> Self:
        self.mounted.mkdir()
        with self._image.open("wb") as image:
            image.truncate(2**30)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        self._unmount()

    def cut(self, pids: Iterable[int]) -> None:
        """The processes, which are all that use it, are gone; it is as it was left."""
        found = self._image.with_name("cut")
        with _stopped(pids):
            _run("cp", "--sparse=always", str(self._image), str(found))
        self._unmount()
        found.replace(self._image)
        self._mount()

    def _unmount(self) -> None:
        """The last threads of a process that was killed may still hold a file."""
        deadline = time.monotonic() + _UNMOUNTED_WITHIN_S
        while subprocess.run(("umount", str(self.mounted)), check=False, capture_output=True).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.mounted} is in use")
            time.sleep(0.05)

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.mounted))


class SyncedPages:
    """A folder, of which at the cut only the pages stay that the kernel has written. Files keep their names."""

    def __init__(self, _: Path) -> None:
        """Not where tests keep their files: nothing in memory is ever written."""
        self._folder = Path(tempfile.mkdtemp(prefix="power-", dir=_ON_DISK))
        self.mounted = self._folder / "disk"

    @staticmethod
    def is_possible() -> bool:
        if platform.system() != "Linux":
            return False
        with tempfile.NamedTemporaryFile(dir=_ON_DISK) as file:
            file.write(b"x")
            file.flush()
            return bool(_is_dirty(Path(file.name), 0, 1))

    def __enter__(self) -> Self:
        self.mounted.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)

    def cut(self, pids: Iterable[int]) -> None:
        """As that of the other."""
        found = self.mounted.with_name("cut")
        with _stopped(pids):
            shutil.copytree(self.mounted, found, copy_function=_copy_synced)
        shutil.rmtree(self.mounted)
        found.rename(self.mounted)


def processes_below(pid: int) -> list[int]:
    """Of the same machine, itself first."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


@contextmanager
def _stopped(pids: Iterable[int]) -> Iterator[None]:
    """The processes stand still within, and then are killed."""
    pids = list(pids)
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(map(_runs, pids)) and time.monotonic() < deadline:
            time.sleep(0.01)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _copy_synced(source: str, target: str) -> str:
    path = Path(source)
    size = path.stat().st_size
    with path.open("rb") as read, Path(target).open("wb") as written:
        end = 0
        for start, length in _written_ranges(path, 0, size):
            read.seek(start)
            written.seek(start)
            written.write(read.read(length))
            end = start + length
        written.truncate(min(end, size))
        os.fsync(written.fileno())  # or the next cut would take it
    shutil.copystat(source, target)
    return target


def _written_ranges(path: Path, start: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of the file without a page that has yet to be written."""
    length = size - start
    if length <= 0:
        return
    if not _is_dirty(path, start, length):
        yield start, length
    elif length > _PAGE:
        middle = start + -(-length // _PAGE) // 2 * _PAGE
        yield from _written_ranges(path, start, middle)
        yield from _written_ranges(path, middle, size)


def _is_dirty(path: Path, start: int, length: int) -> bool | None:
    """None where the kernel doesn't tell."""
    found = (ctypes.c_uint64 * 5)()  # cached, dirty, being written, evicted, evicted recently
    with path.open("rb") as file:
        asked = (ctypes.c_uint64 * 2)(start, length)
        if ctypes.CDLL(None, use_errno=True).syscall(_CACHESTAT, file.fileno(), asked, found, 0):
            return None
    return bool(found[1] or found[2])


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
