"""The table of private parts: it is complete, it is true, and what has moved is told in a sentence each."""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import nats.aio.client
import pytest
from discord.gateway import DiscordWebSocket, KeepAliveHandler

from bot import private_api
from bot.private_api import LIBRARIES, UnsupportedLibrary

ROOT = Path(__file__).parents[2]
SOURCES = {path: ast.parse(path.read_text()) for path in (ROOT / "bot").rglob("*.py") if path.name != "private_api.py"}
PATHS = [part.path for library in LIBRARIES.values() for part in library.parts]
PUBLIC_ALL_THE_SAME = {"_asdict", "_replace", "_exit"}
"""Of named tuples, and of `os`."""


def test_nothing_has_moved_and_to_ask_costs_next_to_nothing():
    private_api.verify(*LIBRARIES)  # imports what nobody has imported yet
    started = time.process_time()
    private_api.verify(*LIBRARIES)
    assert time.process_time() - started < 0.005


def test_every_part_that_has_moved_is_named_in_a_sentence_with_both_releases(monkeypatch):
    async def poll_event(self):
        pass

    async def close(self, reason):
        pass

    monkeypatch.delattr(KeepAliveHandler, "tick")
    monkeypatch.setattr(DiscordWebSocket, "poll_event", poll_event)
    monkeypatch.setattr(DiscordWebSocket, "close", close)
    with pytest.raises(UnsupportedLibrary) as raised:
        private_api.verify("nats-py", "discord.py")
    assert str(raised.value) == (
        "discord.py 2.7.1 is installed, and the bot is made for 2.7.1. "
        "discord.gateway.DiscordWebSocket.close takes no code: the tap closes so that Discord keeps the session. "
        "discord.gateway.KeepAliveHandler.tick is gone: the tap calls it for the events that it keeps."
    )


def test_what_only_instances_have_is_missed_too(monkeypatch):
    def __init__(self):  # noqa: N807
        self._parser = self._transport = self._pending = self._pending_data_size = self._server_info = None

    monkeypatch.setattr(nats.aio.client.Client, "__init__", __init__)
    assert list(LIBRARIES["nats-py"].moved()) == [
        "nats.aio.client.Client._ps is gone: acknowledgements are taken out before it parses them."
    ]


def test_another_release_is_refused_though_nothing_has_moved(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.8.0")
    private_api.verify("discord.py")
    with pytest.raises(UnsupportedLibrary, match=r"discord\.py 2\.8\.0 is installed.*2\.7\.1"):
        private_api.require_version("discord.py")


@pytest.mark.parametrize("removed", ["nats.aio.client.Client._flush_pending", "discord.gateway.KeepAliveHandler.tick"])
def test_the_command_line_says_it_in_one_line_and_ends_as_for_a_wrong_configuration(removed, tmp_path):
    owner, _, name = removed.rpartition(".")
    module, _, _ = owner.rpartition(".")
    program = (
        f"import sys, {module}; del {owner}.{name}; sys.argv = ['sandbox-bot', 'run'];"
        "from bot.__main__ import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
    assert f"{removed} is gone" in ended.stderr


def test_the_releases_are_those_that_are_installed_for_the_tests():
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert {name: library.supported for name, library in LIBRARIES.items()} == {
        name: pinned[name] for name in LIBRARIES
    }


def names_in_the_table():
    return {path.rpartition(".")[2].rpartition(":")[2] for path in PATHS}


def test_whatever_is_private_and_not_the_bots_own_is_in_the_table():
    """An attribute of `self` is its own if any class of the bot defines it; one of another object, if a class of that
    file has it in its body."""
    defined = set().union(*(names for _, names in map(definitions, SOURCES.values())))
    foreign = {}
    for path, tree in SOURCES.items():
        in_bodies, _ = definitions(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
                is_own = node.attr in (defined if is_self(node.value) else in_bodies)
                if not is_own and node.attr not in PUBLIC_ALL_THE_SAME:
                    foreign[node.attr] = f"{path.name}:{node.lineno}"
    assert foreign
    assert {name: where for name, where in foreign.items() if name not in names_in_the_table()} == {}


def test_whatever_the_tap_takes_from_the_class_that_it_extends_is_in_the_table():
    trees = [SOURCES[ROOT / "bot/routing" / name] for name in ("connecting.py", "gateway.py")]
    tapped = ast.Module([node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)], [])
    in_body = set().union(*(definitions(node)[0] for node in tapped.body))
    used = {node.attr for node in ast.walk(tapped) if isinstance(node, ast.Attribute) and is_self(node.value)}
    methods = {node.name for one in tapped.body for node in ast.walk(one) if isinstance(node, ast.AsyncFunctionDef)}
    overridden = methods & set(dir(DiscordWebSocket))
    assert overridden == {
        "from_client",
        "close",
        "poll_event",
        "received_message",
        "send_as_json",
        "send_heartbeat",
    }
    assert (used - in_body) | overridden <= names_in_the_table()


def test_nothing_is_in_the_table_that_nobody_uses():
    nodes = [node for tree in SOURCES.values() for node in ast.walk(tree)]
    used = {getattr(node, kind, None) for node in nodes for kind in ("attr", "name")}
    names = {path: path.replace(".__init__", "").rpartition(":")[2].rpartition(".")[2] for path in PATHS}
    assert [path for path, name in names.items() if name not in used] == []


def is_self(node):
    """`self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Name) and node.id in {"self", "cls", "super"}


def definitions(tree):
    """The names in the bodies of classes, and with them those that their methods give to `self`."""
    in_bodies, assigned = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", each)]
                in_bodies |= {getattr(target, "name", getattr(target, "id", None)) for target in targets}
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            assigned.add(node.attr)
    return in_bodies, in_bodies | assigned
