"""What a newcomer runs first: the tour, and the worker that the README shows."""

import asyncio
import os
import re
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.e2e.bot_process import BOT, servers_in

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
async def tour(tmp_path):
    """The tour as a process, with a folder for temporary files of its own."""
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
    yield process
    if process.returncode is None:
        process.kill()
        await process.communicate()


@pytest.mark.timeout(120)
async def test_the_tour_passes_draws_its_picture_and_leaves_nothing_behind(tour, tmp_path):
    stdout, stderr = await asyncio.wait_for(tour.communicate(), 90)
    assert (tour.returncode, stderr) == (0, b"")
    told = stdout.decode().splitlines()
    assert max(map(len, told)) <= 80
    assert [line for line in told if "… ─" in line] == [], "a title that is cut short"
    assert told[-1] == "  make play"
    assert re.search(r"^tour: (\d\d)/\1 steps passed$", stdout.decode(), re.MULTILINE)
    assert ET.parse(tmp_path / "tour.svg").getroot().tag.endswith("svg")
    assert (list((tmp_path / "tmp").iterdir()), servers_in(tmp_path / "tmp")) == ([], [])


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1), (signal.SIGINT, 130)])
async def test_a_tour_that_is_broken_off_leaves_nothing_behind(tour, tmp_path, number, code):
    async with asyncio.timeout(30):
        while b"/sandbox create" not in await tour.stdout.readline():
            pass
    assert "postgres" in servers_in(tmp_path / "tmp")
    tour.send_signal(number)
    await asyncio.wait_for(tour.communicate(), 20)
    assert tour.returncode == code
    assert (list((tmp_path / "tmp").iterdir()), servers_in(tmp_path / "tmp")) == ([], [])


@pytest.mark.long
async def test_a_tour_that_is_killed_leaves_no_bot_behind(tour):
    async with asyncio.timeout(40):
        while b"at home in Bob's Arcade" not in await tour.stdout.readline():
            pass
    tour.kill()
    await asyncio.wait_for(tour.communicate(), 10)  # ends when the last process that writes there has ended


def test_the_bot_of_the_readme_is_the_one_of_the_tour():
    _, _, program = (REPOSITORY / "bot/demo/ordinary_bot.py").read_text().partition("\n\n")
    assert f"```python\n{program}```" in (REPOSITORY / "README.md").read_text()


async def test_the_worker_of_the_readme_counts_what_is_written_and_answers(scene, tmp_path):
    _, _, rest = (REPOSITORY / "README.md").read_text().partition("## A worker")
    program = tmp_path / "worker.py"
    program.write_text(rest.partition("```python\n")[2].partition("```")[0])
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    reply = await scene.ada.command("sandbox connect", channel=None, sandbox="blue")
    (tmp_path / ".env").write_bytes(reply.message.attachments[0].content)
    await scene.ada.send(scene.lab.general, "hello, worker")
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(program), cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    )
    stream = (await scene.sandbox("blue")).stream

    async def is_there():
        return (await scene.jetstream.consumer_info(stream, "worker")).num_waiting == 1

    try:
        await scene.until(is_there, 20)
        answer = await scene.ada.use_foreign_command("count", channel=scene.lab.general)
        await answer.wait_for(lambda reply: reply.message is not None)
        assert answer.message.content == "1 messages so far"
    finally:
        worker.kill()
        await worker.wait()
