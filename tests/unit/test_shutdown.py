"""A process ends although something in it ignores its end."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from bot import shutdown

async def deaf():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue

async def work():
    asyncio.get_running_loop().kept = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    print("done")
    return "result"

try:
    assert shutdown.run(work()) == "result"
    sys.exit({code})
except SystemExit as ending:
    shutdown.leave(ending.code)
    raise
"""


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("69", 69), ("None", 0), ("'a sentence'", 1)])
def test_a_task_that_ignores_its_cancellation_does_not_keep_the_process(code, expected):
    program = PROGRAM.replace("{code}", code)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (expected, "done\n"), ended.stderr
