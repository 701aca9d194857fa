"""What a newcomer runs first: the tour, and the worker that the README shows."""

import asyncio
import io
import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from dotenv import dotenv_values

from tests.e2e.test_process import BOT, servers_in

REPOSITORY = Path(__file__).parents[2]


async def test_the_tour_passes_draws_its_picture_and_leaves_nothing_behind(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = await asyncio.create_subprocess_exec(
        *BOT,
        "demo",
        "--svg",
        "tour.svg",
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(temporary)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(), 50)
    assert (process.returncode, stderr) == (0, b"")
    assert re.search(r"^tour: (\d\d)/\1 steps passed$", stdout.decode(), re.MULTILINE)
    assert ET.parse(tmp_path / "tour.svg").getroot().tag.endswith("svg")
    assert (list(temporary.iterdir()), servers_in(temporary)) == ([], [])


async def test_the_worker_of_the_readme_receives_what_is_written(scene, stores, tmp_path):
    _, _, rest = (REPOSITORY / "README.md").read_text().partition("## A worker")
    program = tmp_path / "worker.py"
    program.write_text(rest.partition("```python\n")[2].partition("```")[0])
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    reply = await scene.ada.command("sandbox connect", channel=None, sandbox="blue")
    environment = dotenv_values(stream=io.StringIO(reply.message.attachments[0].content.decode()))
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        str(program),
        env={"NATS_URL": stores.nats_url, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await scene.ada.send(scene.lab.general, "hello, worker")
        assert await asyncio.wait_for(worker.stdout.readline(), 20) == b"ada wrote hello, worker\n"
        info = await scene.jetstream.consumer_info((await scene.sandbox("blue")).stream, "worker")
        assert info.config.durable_name == "worker"
    finally:
        worker.kill()
        await worker.communicate()
