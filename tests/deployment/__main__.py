"""What is for operators, carried out as far as that goes without a container engine, an init and a cluster.

    python -m tests.deployment                  # `make deployment`
    python -m tests.deployment --steps files

files: schemas, and the programs that read them. image: the Dockerfile's steps in a root of Debian's packages alone, and
the image's bot with embedded stores. compose: the three stores and the bot as compose.yaml says, and a worker.
systemd: the service and its socket, on a machine whose first process is systemd.
Roots and downloads are kept in `.deployment` for the next time. Ends with 1 if something isn't so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.deployment.files import check_files
from tests.deployment.image import REPOSITORY, Image, build, download_wheels
from tests.deployment.machine import PACKAGES
from tests.deployment.root import Root, leave_the_network, make_root
from tests.deployment.trials import try_composition, try_image, try_units

_STEPS = ("files", "image", "compose", "systemd")
_NEEDED = ("debootstrap", "ip", "nsenter", "systemd-analyze", "unshare")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", choices=_STEPS, default=_STEPS, metavar="STEP")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".deployment")
    chosen = parser.parse_args()
    _require_tools()
    shutil.rmtree(chosen.folder / "run", ignore_errors=True)
    (chosen.folder / "run").mkdir(parents=True)
    total, right = asyncio.run(_count(set(chosen.steps), chosen.folder))
    print(f"deployment: {right}/{total}")  # noqa: T201
    sys.exit(right != total)


def _require_tools() -> None:
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing or os.geteuid():
        sys.exit(f"It has to be root, on Debian; and these have to be installed: {', '.join(missing) or 'they are'}.")


async def _count(steps: set[str], folder: Path) -> tuple[int, int]:
    """How many claims there were, and how many were right; each is told."""
    total = right = 0
    async for claim, fault in _findings(steps, folder):
        total, right = total + 1, right + (not fault)
        print("WRONG" if fault else "right", claim, *filter(None, [fault]), flush=True)  # noqa: T201
    return total, right


async def _findings(steps: set[str], folder: Path) -> AsyncIterator[tuple[str, str]]:
    run = folder / "run"
    if "files" in steps:
        for finding in check_files(run):
            yield finding
    if steps - {"files"}:
        image, with_systemd = _make_roots(folder)
        trials = {
            "image": lambda: try_image(image, _made(run / "image")),
            "compose": lambda: try_composition(image, _made(run / "compose")),
            "systemd": lambda: try_units(image, with_systemd.copy(run / "machine"), _made(run / "systemd")),
        }
        for name in [name for name in trials if name in steps]:
            async for finding in trials[name]():
                yield finding


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _make_roots(folder: Path) -> tuple[Image, Root]:
    """The image, and a root with systemd, before anything is in it. Nothing is downloaded from here on."""
    base, with_systemd = make_root(folder / "debian"), make_root(folder / "debian-systemd", *PACKAGES)
    wheels = folder / "wheels"
    if not wheels.exists():
        download_wheels(wheels)
    leave_the_network()
    return build(base, folder / "run", wheels), with_systemd


if __name__ == "__main__":
    main()
