"""The runbook's entries without an alert, played from top to bottom: two bots, split shards, servers of their own.

    python -m tests.runbook                        # `make runbook`
    python -m tests.runbook --entries disk shards  # those with one of these words

Each command of an entry is run as it stands there, and no other one is. A disk is filled for root alone. Ends with 1 if
anything is not as the runbook says.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from loguru import logger

from tests.chaos.disks import leave_mounts_to_this_process
from tests.runbook.entries import Entry, read_entries
from tests.runbook.plays import PLAYS
from tests.runbook.site import Site, open_site

_DISK = "size=192m,mode=700"
_TAKES_ROOT = "A disk is full"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", nargs="+", metavar="WORD", default=[""], help="those with such words alone")
    words = [word.lower() for word in parser.parse_args().entries]
    logger.remove()
    logging.disable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    may_mount = leave_mounts_to_this_process()
    entries = [entry for heading, entry in read_entries().items() if any(word in heading.lower() for word in words)]
    if not may_mount:
        print("no disk is filled: that takes a file system of its own, which only root may mount")  # noqa: T201
        entries = [entry for entry in entries if entry.heading != _TAKES_ROOT]
    with tempfile.TemporaryDirectory(prefix="runbook-") as folder:
        right = asyncio.run(run(Path(folder), entries, may_mount=may_mount))
    print(f"runbook: {right}/{len(entries)}")  # noqa: T201
    sys.exit(right < len(entries))


async def run(folder: Path, entries: list[Entry], *, may_mount: bool) -> int:
    """How many of the entries are as they should be."""
    with ExitStack() as stack:

        def mount(path: Path) -> None:
            path.mkdir(parents=True)
            if may_mount:
                subprocess.run(["mount", "-t", "tmpfs", "-o", _DISK, "runbook", str(path)], check=True)
                stack.callback(subprocess.run, ["umount", "--lazy", str(path)], check=True)

        async with open_site(folder, mount) as site:
            return sum([await play(site, entry) for entry in entries])


async def play(site: Site, entry: Entry) -> bool:
    """Whether it is as it should be; a line for each step."""
    began_at = time.monotonic()

    def tell(what: str) -> None:
        print(f"{entry.heading}, {time.monotonic() - began_at:.0f} s: {what}", flush=True)  # noqa: T201

    try:
        async for step in PLAYS[entry.heading](site, entry):
            tell(step)
    except Exception as error:
        tell(f"WRONG: {type(error).__name__} {error}")
        return False
    if entry.left:
        tell(f"WRONG: not run: {', '.join(entry.left)}")
    return not entry.left


if __name__ == "__main__":
    main()
