import asyncio
import sys
from pathlib import Path

import pytest


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_random_operations_while_everything_breaks_leave_nothing_stuck_or_behind_or_done_twice(tmp_path):
    chosen = ("--operations", "60", "--seed", "7", "--seconds", "60", "--trace", str(tmp_path / "trace.txt"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", *chosen),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
