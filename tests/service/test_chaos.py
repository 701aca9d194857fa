import asyncio
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.chaos.strikes import HITS, plan


def test_the_same_seed_breaks_the_same_at_the_same_times():
    first, again, other = (list(islice(plan(seed, list(HITS)), 300)) for seed in ("1", "1", "2"))
    assert first == again != other
    assert {strike.name for strike in first} == HITS.keys()


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
