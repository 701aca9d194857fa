"""The ordinary bots that Ada and Bob start, which know no more than a sandbox's environment."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path

from bot.stores.embedded.configuration import launch_command

IN_DISCORD_PY = Path(__file__).with_name("ordinary_bot.py")
IN_DISCORD_JS = Path(__file__).with_name("ordinary_bot.js")


async def has_discord_js() -> bool:
    """Whether Node.js is here, and finds that library: installed globally, or where NODE_PATH says."""
    if (node := shutil.which("node")) is None:
        return False
    ask = "require.resolve('discord.js', {paths: require('module').globalPaths})"
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(node, "-e", ask, stdout=null, stderr=null)
    return await process.wait() == 0


def command_of(program: Path) -> list[str]:
    """What starts it; it ends with this process, however that ends."""
    runtime = shutil.which("node") if program.suffix == ".js" else sys.executable
    assert runtime is not None
    return launch_command([runtime, str(program)], signal.SIGKILL)
