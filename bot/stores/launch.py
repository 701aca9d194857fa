"""Becomes a server: `python -m bot.stores.launch SIGNAL PROGRAM ARGUMENT …`.

The server gets SIGNAL when its parent dies. PostgreSQL refuses to run as root, so for root the server is put into
a user namespace of its own, in which it is somebody else; its files stay root's. Needs Linux for both; elsewhere it
just becomes the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_NOBODY = 65534
EX_NO_NAMESPACE = 77
"""Exit code: this is root, and the kernel allows no user namespace."""


def main() -> None:
    """Never returns: the process is the program then, or has ended."""
    death_signal, program = signal.Signals[sys.argv[1]], sys.argv[2:]
    parent = os.getppid()
    if sys.platform == "linux":
        if os.getuid() == 0:
            _leave_root()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before we could ask
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - an absolute path, from a wheel or named by the operator


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
