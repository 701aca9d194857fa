"""Becomes a server: `python -I -S bot/stores/launch.py SIGNAL PROGRAM ARGUMENT …`. Needs the standard library alone.

The server gets SIGNAL when its parent dies, whose number stands in the environment, for it may be dead already. Where
memory runs out, the kernel is to end a server sooner than the guardian, which would start it again. PostgreSQL refuses
to run as root, so for root the server is put into a user namespace of its own, in which it is somebody else; its files
stay root's. Needs Linux for all of it; elsewhere it just becomes the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PARENT = "SANDBOX_BOT_LAUNCHED_BY"
"""The variable with the parent's process number; without it, whoever is the parent when this begins."""
_PR_SET_PDEATHSIG = 1
_OOM_PENALTY = 100
"""As if the server had a tenth of the memory more than it has: far more than the guardian and the bot have."""
_NOBODY = 65534
EX_NO_NAMESPACE = 77
"""Exit code: this is root, and the kernel allows no user namespace."""


def main() -> None:
    """Never returns: the process is the program then, or has ended."""
    death_signal, program = signal.Signals[sys.argv[1]], sys.argv[2:]
    parent = int(os.environ.pop(PARENT, os.getppid()))
    if sys.platform == "linux":
        _offer_memory()
        if os.getuid() == 0:
            _leave_root()
        die_with(parent, death_signal)
    os.execv(program[0], program)  # noqa: S606 - an absolute path, from a wheel or named by the operator


def die_with(parent: int, death_signal: signal.Signals) -> None:
    """This process gets the signal when that one dies, its parent; ends it if it has. On Linux."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # it died before this could be asked for
        sys.exit(1)


def _offer_memory() -> None:
    """To the kernel, which takes from the process with the highest score; everybody may raise their own."""
    score = Path("/proc/self/oom_score_adj")
    with suppress(OSError):
        score.write_text(str(min(int(score.read_text()) + _OOM_PENALTY, 1000)))


def _leave_root() -> None:
    try:
        os.unshare(os.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{_NOBODY} 0 1")
        Path("/proc/self/gid_map").write_text(f"{_NOBODY} 0 1")
    except OSError as error:
        sys.stderr.write(f"cannot leave root: {error}\n")
        sys.exit(EX_NO_NAMESPACE)


if __name__ == "__main__":
    main()
