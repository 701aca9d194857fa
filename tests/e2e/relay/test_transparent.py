"""`sandbox-worker run`: bots without one changed line."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from bot.sandboxes.model import Actor
from tests.e2e.relay.conftest import HERE, Bot

NODE = HERE.parents[2] / ".node"

ASK = (
    "import json, urllib.request;print(json.load(urllib.request.urlopen('https://discord.com/api/v10/gateway'))['url'])"
)

ASK_IN_JAVA = """
import java.net.URI;
import java.net.http.*;
public class Ask {
  public static void main(String[] arguments) throws Exception {
    var request = HttpRequest.newBuilder(URI.create("https://discord.com/api/v10/gateway")).build();
    System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}
"""


class Run(Bot):
    """With what `run` and the command have complained of."""

    def __init__(self, process):
        super().__init__(process)
        self._complaints = asyncio.create_task(process.stderr.read())

    async def ended(self, seconds=30.0):
        """Exit code, lines on standard output, text on standard error, once it has ended by itself."""
        async with asyncio.timeout(seconds):
            await self.process.wait()
            await self._reading
            return self.process.returncode, self.heard, (await self._complaints).decode()

    async def end(self):
        await super().end()
        await self._complaints


class Starter:
    """Starts commands by `sandbox-worker run` in a folder."""

    def __init__(self, folder, variables):
        self.variables = variables
        self._folder, self._runs = folder, []

    async def __call__(self, *command, options=(), environ=None, within=(), terminal=None):
        process = await asyncio.create_subprocess_exec(
            *within,
            *(sys.executable, "-m", "sandbox_worker", "run", *options, "--", *map(str, command)),
            cwd=self._folder,
            env={**os.environ, **(environ or {})},
            stdin=terminal,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=terminal is not None,
            preexec_fn=None if terminal is None else lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._runs.append(run := Run(process))
        return run

    async def end(self):
        for run in self._runs:
            await run.end()


@pytest.fixture
async def run(scene, relayed, tmp_path):
    """Starts a command by `sandbox-worker run`, with the .env of a sandbox of Ada's beside it."""
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    variables = {"SANDBOX_NAME": "adas", **await relayed.environment(sandbox)}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    starter = Starter(tmp_path, variables)
    yield starter
    await starter.end()


async def lives(scene, bot):
    await bot.says(f"ready {scene.discord.bot_user.name} Ada's_Lab", 40)
    await scene.ada.send(scene.lab.general, "hello")
    await bot.says("message Ada's Lab hello", 40)
    await scene.until(lambda: says(scene.lab.general, "echo hello"))


async def says(channel, content):
    return any(message.content == content for message in channel.messages.values())


async def test_a_discord_py_bot_lives_in_a_sandbox_without_one_changed_line(scene, run):
    await lives(scene, await run(sys.executable, HERE / "unchanged_discord_py.py"))


@pytest.mark.long
async def test_every_http_client_of_python_reaches_the_relay_and_none_asks_for_discord(run, relayed):
    bot = await run(sys.executable, HERE / "ask_everyway.py")
    code, lines, complaints = await bot.ended()
    assert code == 0, complaints
    urls, asked = map(json.loads, lines)
    gateway = relayed.relay.address.replace("http", "ws", 1)
    assert set(urls["urls"].values()) == {gateway}
    assert asked == {"connected": ["127.0.0.1"], "looked_up": ["127.83.66.88", "cdn.discordapp.com"]}


@pytest.fixture(scope="session")
def node():
    """Node, with the libraries beside it, as `make test` fetches them."""
    program = shutil.which("node")
    if program is None or not all((NODE / "node_modules" / name).exists() for name in ("discord.js", "eris")):
        pytest.skip("no Node or no packages of it here: bots of discord.js and eris are not tried")
    return program


@pytest.mark.parametrize("script", ["unchanged_discord_js.cjs", "unchanged_eris.cjs"])
async def test_a_bot_of_node_lives_in_a_sandbox_without_one_changed_line(scene, run, node, script):
    await lives(scene, await run(node, HERE / script, environ={"NODE_PATH": str(NODE / "node_modules")}))


@pytest.mark.long
async def test_every_way_of_node_reaches_the_relay(run, relayed, node):
    code, lines, complaints = await (await run(node, HERE / "ask_everyway.mjs")).ended()
    assert code == 0, complaints
    assert set(json.loads(lines[0]).values()) == {relayed.relay.address.replace("http", "ws", 1)}


@pytest.mark.long
async def test_what_the_program_starts_is_led_too(run, relayed):
    program = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"
    code, lines, _ = await (await run(sys.executable, "-c", program, ASK)).ended()
    assert (code, lines) == (0, [relayed.relay.address.replace("http", "ws", 1)])


@pytest.mark.long
async def test_the_exit_code_is_the_programs(run):
    code, lines, _ = await (await run(sys.executable, "-c", "print('done'); raise SystemExit(7)")).ended()
    assert (code, lines) == (7, ["done"])
    code, _, _ = await (await run(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")).ended()
    assert code == 128 + signal.SIGKILL


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
async def test_signals_are_passed_on(run, number):
    program = (
        "import signal, sys; number = int(sys.argv[1]); signal.signal(number, lambda *_: sys.exit(42));"
        "print('waits', flush=True); signal.pause()"
    )
    process = await run(sys.executable, "-c", program, int(number))
    await process.says("waits")
    process.process.send_signal(number)
    assert (await process.ended())[0] == 42


@pytest.mark.long
async def test_the_program_does_not_outlive_a_run_that_is_killed(run):
    process = await run(sys.executable, "-c", "import os, signal; print(os.getpid(), flush=True); signal.pause()")
    async with asyncio.timeout(15):
        while not process.heard:
            await asyncio.sleep(0.01)
    process.process.kill()
    try:
        await process.ended(10)  # its standard output is closed when the program is gone
    finally:
        with suppress(ProcessLookupError):
            os.kill(int(process.heard[0]), signal.SIGKILL)


@pytest.mark.long
async def test_the_token_goes_by_the_names_that_are_chosen(run):
    program = "import os; print(os.environ.get('DISCORD_TOKEN'), os.environ['TOKEN'], os.environ['BOT_TOKEN'])"
    options = ("--token-variable", "TOKEN", "--token-variable", "BOT_TOKEN")
    _, lines, _ = await (await run(sys.executable, "-c", program, options=options)).ended()
    token = run.variables["SANDBOX_BOT_TOKEN"]
    assert lines == [f"None {token} {token}"]


@pytest.mark.parametrize("way", ["--hooks", "--address"])
async def test_the_stores_are_the_sandboxes_by_the_names_that_programs_look_for(run, way):
    own = {
        "SANDBOX_SCHEMA": "sandbox_1a2b3c4d",
        "SANDBOX_DATABASE_URL": "postgresql://sandbox_1a2b3c4d:token@db/sandboxes?sslmode=require",
    }
    environ = {**own, "DATABASE_URL": "postgresql://production", "REDIS_URL": "redis://of-the-team"}
    program = "import os; print(*(os.environ[name] for name in ('DATABASE_URL', 'PGUSER', 'PGSSLMODE', 'REDIS_URL')))"
    options = (way, "--database-url", "postgresql+asyncpg")
    _, lines, _ = await (await run(sys.executable, "-c", program, options=options, environ=environ)).ended()
    address = "postgresql+asyncpg://sandbox_1a2b3c4d:token@db/sandboxes"
    assert lines == [f"{address} sandbox_1a2b3c4d require redis://of-the-team"]


@pytest.mark.long
async def test_with_address_only_the_variables_are_set_and_the_knob_is_shown(run):
    program = "import os; print('DISCORD_TOKEN' in os.environ, 'PYTHONPATH' in os.environ)"
    _, lines, complaints = await (await run(sys.executable, "-c", program, options=("--address",))).ended()
    assert lines == ["True False"]
    assert "discord.py: discord.http.Route.BASE = os.environ['SANDBOX_BOT_API']" in complaints


@pytest.mark.long
@pytest.mark.parametrize(
    ("environ", "command", "code", "sentence"),
    [
        ({}, ["no-such-program"], 127, "“no-such-program” cannot be run"),
        ({"SANDBOX_BOT_TOKEN": ""}, ["python"], 78, "Not set: SANDBOX_BOT_TOKEN"),
        ({"SANDBOX_BOT_API": "http://127.0.0.1:1/api/v10"}, ["python"], 69, "relay is not reachable"),
        ({"SANDBOX_BOT_TOKEN": "MQ.AAAAAA.aaaaaaaaaaaaaaaaaaaaaaaa"}, ["python"], 1, "new credentials"),
        ({}, [], 2, "say which command to run"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_started(run, environ, command, code, sentence):
    ended, lines, complaints = await (await run(*command, environ=environ)).ended()
    assert (ended, lines) == (code, [])
    assert sentence in complaints


@pytest.fixture
def unprivileged():
    """What a command is put behind so that it runs with no rights, as a user that is not root."""
    if sys.platform != "linux" or subprocess.run(["unshare", "--user", "--net", "true"], check=False).returncode:
        pytest.skip("no namespaces for users here: this way is not tried")
    return ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.getuid() == 0 else ()


@pytest.mark.long
async def test_a_program_in_no_language_of_ours_is_led_by_a_namespace_and_reaches_its_stores(
    run, relayed, unprivileged
):
    nats = urlsplit(relayed.scene.app.stores.addresses.nats)
    command = (
        "id -u; curl -s https://discord.com/api/v10/gateway; echo;"
        f"curl -s --max-time 1 telnet://{nats.hostname}:{nats.port} </dev/null | head -c 4"
    )
    environ = {"NATS_URL": f"nats://{nats.hostname}:{nats.port}"}
    process = await run("sh", "-c", command, environ=environ, within=unprivileged)
    _, lines, complaints = await process.ended()
    gateway = relayed.relay.address.replace("http", "ws", 1)
    assert lines == [str(os.getuid() or 1000), json.dumps({"url": gateway}, separators=(",", ":")), "INFO"]
    assert "in a namespace of Linux" in complaints


@pytest.mark.long
async def test_a_program_of_java_is_led_by_a_namespace(run, relayed, unprivileged, tmp_path):
    """It has a list of authorities in a format of its own. Takes as long as Java to compile and start."""
    if shutil.which("javac") is None:
        pytest.skip("no Java here: it is not tried")
    (tmp_path / "Ask.java").write_text(ASK_IN_JAVA)
    code, lines, complaints = await (await run("java", "Ask.java", within=unprivileged)).ended(50)
    assert code == 0, complaints
    assert json.loads(lines[0])["url"] == relayed.relay.address.replace("http", "ws", 1)


@pytest.mark.long
async def test_a_bot_lives_in_a_namespace_too(scene, run, unprivileged):
    bot = await run(sys.executable, HERE / "unchanged_discord_py.py", options=("--namespace",), within=unprivileged)
    await lives(scene, bot)


@pytest.mark.long
async def test_where_there_are_no_namespaces_it_is_said_what_to_do(run, unprivileged):
    none_left = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    within = ("unshare", "--user", "--map-root-user", "sh", "-c", none_left, "sh")
    code, lines, complaints = await (await run("sh", "-c", "echo started", within=within)).ended()
    assert (code, lines) == (1, [])
    assert "this machine gives none" in complaints
    assert "--hooks" in complaints


@pytest.mark.long
@pytest.mark.parametrize(("start", "heard"), [("pass", 1), ("import os; os.setpgid(0, 0)", 0)])
async def test_ctrl_c_is_left_to_the_terminal(run, start, heard):
    """It sends it to all that is in front: the program, unless that has gone to the background by itself."""
    program = (
        f"{start}\nimport signal, sys; heard = []\n"
        "def hear(*_): heard.append(2); print('interrupted', flush=True)\n"
        "signal.signal(2, hear); signal.signal(15, lambda *_: sys.exit(len(heard))); print('waits', flush=True)\n"
        "while True: signal.pause()"
    )
    keyboard, terminal = pty.openpty()
    try:
        process = await run(sys.executable, "-c", program, terminal=terminal)
        await process.says("waits")
        os.write(keyboard, b"\x03")
        if heard:
            await process.says("interrupted")
        process.process.terminate()
        assert (await process.ended())[0] == heard
    finally:
        os.close(keyboard)
        os.close(terminal)
