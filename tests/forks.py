"""Processes forked from one that has read the bot's modules already, which is most of what starting Python costs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["bot.app", "bot.cli", "tests.faults.operations"])


def run_command(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`sandbox-bot …` with nothing on standard input: its exit code and what it said."""
    with TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        process = context.Process(target=_command, args=(arguments, cwd, dict(env), stdout, stderr))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(arguments, process.exitcode, stdout.read_text(), stderr.read_text())


def _command(arguments: Sequence[str], cwd: Path, env: dict[str, str], stdout: Path, stderr: Path) -> None:
    from bot.cli import main

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate((Path(os.devnull), stdout, stderr)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    sys.argv = ["sandbox-bot", *arguments]
    main()
