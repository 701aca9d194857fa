"""The kit in a developer's own environment, beside a project with a package `bot` and another Discord library."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from sandbox_worker import Sandbox
from tests.distributions.conftest import FOLDERS, ROOT, Surroundings
from tests.service.workers import dispatch

EVERYTHING = Path(__file__).with_name("everything.py")
KIT_PYTHON = os.environ.get("KIT_PYTHON", "")
"""The oldest Python that the kit runs on."""

LOWEST = [one.partition(";")[0].strip().replace(">=", "==") for one in requires("sandbox-worker") or () if ">=" in one]
"""What the kit asks for, as old as it takes it."""


HOOKS = (
    "from sandbox_worker.run.hooking import _HOOKS as folder;"
    "print(*sorted(file.name for file in folder.iterdir() if file.is_file()))"
)
"""Says which files `sandbox-worker run` leads programs by."""

pytestmark = pytest.mark.timeout(300)  # an index may be slow


@pytest.fixture(
    params=[
        pytest.param((sys.executable, "discord.py==2.6.4"), id="beside-discord.py-2.6", marks=pytest.mark.long),
        pytest.param(
            (KIT_PYTHON, "py-cord==2.6.1"),
            id="on-the-oldest-python-with-the-oldest-versions-beside-py-cord",
            marks=pytest.mark.skipif(not KIT_PYTHON, reason="`make test-kit` tries it, on Python 3.11"),
        ),
    ]
)
def project(request, tmp_path, wheels, constraints):
    """A developer's, into whose environment the kit has come. It may not have cost it anything."""
    python, library = request.param
    surroundings = Surroundings(tmp_path, python)
    (surroundings.project / "bot").mkdir()
    (surroundings.project / "bot" / "__init__.py").write_text("NAME = 'my own bot'\n")
    if python == sys.executable:
        tested = constraints("discord.py")
        surroundings.lend("aiohttp")
    else:
        tested = tmp_path / "lowest.txt"
        tested.write_text("\n".join(LOWEST))
    surroundings.install("-c", tested, library)
    before = surroundings.versions()
    origins = surroundings.install("-c", tested, f"sandbox-worker[all] @ {wheels['sandbox-worker'].as_uri()}")
    after = surroundings.versions()
    assert before.items() <= after.items()
    assert {"sandbox-worker", "nats-py", "asyncpg", "redis", "msgspec"} <= after.keys() - before.keys()
    assert not {"discord.py", "loguru", "discord-sandboxes", "local-discord"} & (after.keys() - before.keys())
    assert origins["sandbox-worker"] == wheels["sandbox-worker"].as_uri()
    assert surroundings.say("import bot, discord, sandbox_worker; print(bot.NAME)") == "my own bot"
    assert surroundings.say(HOOKS) == "hook.cjs sitecustomize.py"
    return surroundings


async def test_readmes_worker_and_all_else_that_the_kit_can_do_run_there(project, scene):
    """In one test, for an environment takes seconds to make."""
    ada, lab = scene.ada, scene.lab
    await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
    reply = await ada.command("sandbox connect", channel=lab.general, sandbox="blue")
    (project.project / ".env").write_bytes(reply.message.attachments[0].content)
    sandbox = await scene.sandbox("blue")

    await _everything(project, scene, sandbox)
    await _readmes_worker(project, scene, sandbox)


async def _everything(project, scene, sandbox):
    before = (await scene.jetstream.stream_info(sandbox.stream)).state.last_seq
    for text in ("first", "second"):
        await scene.jetstream.publish(f"{sandbox.nats_prefix}events.NOTE", dispatch("NOTE", text=text))
    process = await project.start(project.python, str(EVERYTHING))
    await _logs(process, "ready for an outage")
    await scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="blue", by="1h")  # a new login
    await _logs(process, "NATS connection lost, reconnecting: sandbox blue")
    await _logs(process, "NATS connection is back: sandbox blue")
    async with Sandbox.from_env({}, dotenv=project.project / ".env") as colleague:
        await colleague.publish("after", "it")
        said, complaints = await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    found = json.loads(said)
    assert abs(found.pop("age")) <= 60
    assert found == {
        "events": ["first", "second", "first"],
        "redelivered": 1,
        "tail": [before + 1, before + 2],
        "message": ["jobs.build", "now"],
        "row": "first",
        "popped": ["queue", "first"],
        "channel": "news",
        "after": "it",
    }


async def _logs(process, line):
    """Waits for that line, which is the next one."""
    async with asyncio.timeout(20):
        assert (await process.stderr.readline()).decode().strip() == line


async def _readmes_worker(project, scene, sandbox):
    (code,) = re.findall(r"```python\n(import asyncio.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (project.project / "worker.py").write_text(code)
    process = await project.start(project.python, "worker.py")
    try:
        for number in range(3):
            await scene.ada.send(scene.lab.general, f"message {number}")

        async def counted():
            return await scene.app.stores.redis.get(f"{sandbox.redis_prefix}messages") == b"3"

        await scene.until(counted, 20)
        reply = await scene.ada.use_foreign_command("score", channel=scene.lab.general)
        await reply.wait_for(lambda reply: reply.message is not None)
        assert reply.message.content == "3 messages so far"

        async def settled():
            return (await scene.app.manager.streams.stats(sandbox.id)).waiting == 0

        await scene.until(settled)
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = await process.communicate()
    assert complaints.decode().splitlines()[-1] == "KeyboardInterrupt"


def test_the_bot_runs_from_its_wheel_in_an_environment_of_its_own(tmp_path, wheels):
    surroundings = Surroundings(tmp_path)
    surroundings.lend("discord-sandboxes")
    built = {name: wheels[name] for name in FOLDERS}
    origins = surroundings.install("--no-index", *built.values())
    assert {name: origins[name] for name in built} == {name: path.as_uri() for name, path in built.items()}
    said = surroundings.run(str(surroundings.bin / "sandbox-bot"), "--help")
    assert "Exit codes: 0 done" in " ".join(said.split())
