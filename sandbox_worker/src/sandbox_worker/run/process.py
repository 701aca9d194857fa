"""The program as a child: what is sent to us goes to it, and its end is ours."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
_FROM_THE_KEYBOARD = {signal.SIGINT, signal.SIGQUIT}


async def start_process(*command: str, executable: str, environ: Mapping[str, str], **options: Any) -> Process:
    """A child that on Linux ends with us, even if we are killed: without us it has no relay."""
    ends_with_us = _ends_with_parent if sys.platform == "linux" else None
    return await asyncio.create_subprocess_exec(
        *command, executable=executable, env=environ, preexec_fn=ends_with_us, **options
    )


def _ends_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def wait_for(process: Process) -> int:
    """Its exit code, in a shell's way: 128 and the number of the signal that has ended it."""
    with _signals_passed_to(process):
        code = await process.wait()
    return 128 - code if code < 0 else code


@contextmanager
def _signals_passed_to(process: Process) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]

    def pass_on(number: int) -> None:
        if number in _FROM_THE_KEYBOARD and _shares_keyboard():
            return  # the terminal has sent it to both
        with suppress(ProcessLookupError):
            process.send_signal(number)

    for number in numbers:
        loop.add_signal_handler(number, pass_on, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _shares_keyboard() -> bool:
    """Whether this is what a terminal has in front."""
    try:
        return sys.stdin is not None and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # no terminal
        return False
