"""The end of Valkey's append-only file, which a loss of power may leave unreadable.

The server itself leaves out a command that is cut short at the end. What the disk had been given no content for reads
as NULs, at the end or before it, and on those it does not start.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from loguru import logger

from bot import constants
from bot.stores.embedded.programs import Programs

_REFUSED = re.compile(r"Bad file format reading the append only file (\S+):")
_CHECKED = re.compile(r"size=(\d+), ok_up_to=(\d+),")
_LISTED = re.compile(r"^file (\S+) seq \d+ type [bi]$", re.MULTILINE)
_CHECKER = "valkey-check-aof redis-check-aof"
"""As which the server's own program checks a file: Valkey's looks for the first word in its name, Redis's for the
second."""


def is_refused(log: bytes) -> bool:
    """Whether the server says that it ended for this."""
    return _REFUSED.search(log.decode(errors="replace")) is not None


async def repair(folder: Path, log: bytes, programs: Programs) -> bool:
    """Cut off what cannot be read of the newest file in Valkey's `folder`, and keep it beside it; `log` is what the
    server has said. False if it is another file, or something else is wrong: then nothing is changed."""
    refused = _REFUSED.search(log.decode(errors="replace"))
    if refused is None:
        return False
    listed = _LISTED.findall((folder / "appendonlydir" / "appendonly.aof.manifest").read_text())
    if listed[-1:] != [refused[1]]:
        return False
    return await asyncio.to_thread(_cut, folder / "appendonlydir" / refused[1], programs.find("redis"))


def _cut(file: Path, program: str) -> bool:
    size, sound = _check(file, program)
    if sound >= size:
        return False
    kept = file.with_name(f"{file.name}.unreadable-{time.time():.0f}")
    with file.open("r+b") as whole, kept.open("xb") as rest:
        whole.seek(sound)
        shutil.copyfileobj(whole, rest)
        rest.flush()
        os.fsync(rest.fileno())
        whole.truncate(sound)
        os.fsync(whole.fileno())
    logger.warning(
        "the end of Valkey's append-only file cannot be read, as after a loss of power, and was cut off",
        bytes=size - sound,
        kept=str(kept),
    )
    return True


def _check(file: Path, program: str) -> tuple[int, int]:
    """Its size, and up to where it is sound."""
    done = subprocess.run(
        [_CHECKER, str(file)],
        executable=program,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=constants.SERVER_START_WITHIN_S,
        check=False,
    )
    found = _CHECKED.search(done.stdout.decode(errors="replace"))
    return (int(found[1]), int(found[2])) if found else (0, 0)
