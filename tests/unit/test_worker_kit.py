"""What holds of the kit wherever it is installed: these tests need nothing else of this tree."""

from __future__ import annotations

import asyncio
import logging
import pkgutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from uuid import UUID

import pytest
from nats.aio.msg import Msg

import sandbox_worker
from sandbox_worker import protocol
from sandbox_worker.durations import parse_duration
from sandbox_worker.errors import WrongDuration
from sandbox_worker.events import EventParser, StoredEvent
from sandbox_worker.redis_keys import key_positions

ID = UUID("1a2b3c4d-0000-4000-8000-000000000001")
ENVIRONMENT = f"""
SANDBOX_ID={ID}
SANDBOX_NAME=blue
SANDBOX_SCHEMA=sandbox_1a2b3c4d
SANDBOX_REDIS_PREFIX=sandbox:{ID}:
SANDBOX_NATS_PREFIX=sandbox.{ID}.
SANDBOX_NATS_STREAM=SANDBOX_1a2b3c4d
SANDBOX_NATS_URL=nats://127.0.0.1:9
DATABASE_URL=postgresql://127.0.0.1:9/bot
REDIS_URL=redis://127.0.0.1:9
"""


def run(*command, folder=None):
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, env={})


def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(sandbox_worker.__path__, "sandbox_worker."):
        if module.name != "sandbox_worker.__main__":
            import_module(module.name)


def test_it_loads_neither_the_bot_nor_what_only_the_bot_needs():
    program = "import sys, sandbox_worker; print({'bot', 'discord', 'loguru', 'redis', 'typer'} & sys.modules.keys())"
    assert run("-c", program).stdout == "set()\n"


@pytest.mark.parametrize(("driver", "part", "extra"), [("asyncpg", "pg", "postgres"), ("redis", "redis", "redis")])
def test_without_a_driver_the_first_use_says_what_to_install(tmp_path, driver, part, extra):
    (tmp_path / ".env").write_text(ENVIRONMENT)
    program = f"""
import asyncio, sys
sys.modules[{driver!r}] = None
from sandbox_worker import MissingExtra, Sandbox
async def main():
    async with Sandbox.from_env() as sandbox:
        try:
            sandbox.{part}
        except MissingExtra as error:
            print(error)
asyncio.run(main())
"""
    done = run("-c", program, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pip install 'sandbox-worker[{extra}]'" in done.stdout


def test_it_is_silent_until_logging_is_configured():
    program = "import logging, sandbox_worker; logging.getLogger('sandbox_worker.tail').error('unheard')"
    assert run("-c", program).stderr == ""


async def test_outages_are_logged_to_whoever_listens(caplog):
    caplog.set_level(logging.WARNING, "sandbox_worker")
    environ = dict(line.split("=", 1) for line in ENVIRONMENT.split())
    async with sandbox_worker.Sandbox.from_env(environ) as sandbox:
        waiting = asyncio.create_task(sandbox.publish("jobs"))
        async with asyncio.timeout(10):
            while not caplog.messages:
                await asyncio.sleep(0.01)
        waiting.cancel()
    assert caplog.messages[0].startswith("NATS does not let the worker in, trying on: ")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["tail"], 78, "sandbox-worker: Not set: SANDBOX_ID, "),
        (["tail", "--since", "yesterday"], 2, "sandbox-worker: “yesterday” is not a duration. "),
        (["tail", "--sinse", "1h"], 2, "usage: sandbox-worker "),
        ([], 2, "usage: sandbox-worker "),
        (["nothing"], 2, "usage: sandbox-worker "),
    ],
)
def test_wrong_usage_and_a_missing_environment_have_exit_codes(tmp_path, options, code, said):
    done = run("-m", "sandbox_worker", *options, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_the_command_line_says_what_it_is():
    version = run("-m", "sandbox_worker", "--version").stdout
    assert f"{version.replace(' ', '/').strip()} protocol/{protocol.PROTOCOL_VERSION}" == protocol.agent()
    assert "--since" in run("-m", "sandbox_worker", "tail", "--help").stdout


def test_the_words_of_the_protocol_are_those_that_are_documented():
    assert protocol.event_subjects(ID) == f"sandbox.{ID}.events.>"
    assert protocol.work_subjects(ID) == f"sandbox.{ID}.work.>"
    assert protocol.replay_subject(ID) == f"sandbox.{ID}.replay"
    assert protocol.inbox_prefix(ID) == "_INBOX_1a2b3c4d000040008000000000000001"
    assert protocol.pull_subject("S") == "$JS.API.CONSUMER.MSG.NEXT.S.worker"
    assert (protocol.MESSAGE_ID_HEADER, protocol.TOO_LARGE_HEADER) == ("Nats-Msg-Id", "Sandbox-Too-Large")
    assert protocol.TRACE_HEADER == "traceparent"


def stored(subject="sandbox.x.events.MESSAGE_CREATE", data=b'{"d":{"guild_id":"7"}}', **more):
    moment = int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 10**9
    reply = more.pop("reply", f"$JS.ACK._.hash.SANDBOX_x.worker.3.41.9.{moment}.0.token")
    return Msg(_client=None, subject=subject, reply=reply, data=data, **more)


PARSER = EventParser("sandbox.x.events.", stream="SANDBOX_x")


def test_an_event_is_read_from_what_the_server_sends():
    event = StoredEvent(**PARSER.fields(stored()))
    assert (event.name, event.sequence, event.redelivered, event.guild_id) == ("MESSAGE_CREATE", 41, 2, 7)
    assert (event.stored_at, event.too_large) == (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None)
    assert event.traceparent is None  # a bot of before
    traced = stored(headers={"traceparent": "00-1-2-01"})
    assert StoredEvent(**PARSER.fields(traced)).traceparent == "00-1-2-01"


@pytest.mark.parametrize(
    "message",
    [
        stored(data=b""),
        stored(data=b"[1, 2]"),
        stored(data=b'{"op": 0}'),
        stored(reply=""),
        stored(reply="_INBOX.x"),
        stored(reply="sandbox.y.work.x"),
        stored(reply="$JS.ACK._.hash.SANDBOX_y.worker.3.41.9.1.0.token"),
        stored(subject="sandbox.y.events.MESSAGE_CREATE"),
    ],
)
def test_what_is_no_event_is_told_from_one(message):
    assert PARSER.fields(message) is None


DELIVERY = protocol.Delivery("SANDBOX_x", "worker", 3, 41, 9, 1700000000000000000)


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("$JS.ACK.SANDBOX_x.worker.3.41.9.1700000000000000000.0", DELIVERY),
        ("$JS.ACK._.hash.SANDBOX_x.worker.3.41.9.1700000000000000000.0", DELIVERY),
        ("$JS.ACK.hub.hash.SANDBOX_x.worker.3.41.9.1700000000000000000.0.token", DELIVERY),
        ("$JS.ACK.SANDBOX_x.worker.3.41.9.1700000000000000000", None),
        ("$JS.ACK.hash.SANDBOX_x.worker.3.41.9.1700000000000000000.0", None),
        ("$JS.ACK.SANDBOX_x.worker.SANDBOX_y.worker.3.41.9", None),
        ("$JS.ACK.SANDBOX_x.worker.3.41.-9.1700000000000000000.0", None),
        ("$JS.ACK", None),
        ("$JS.FC.SANDBOX_x.worker.3.41.9.1700000000000000000.0", None),
        ("sandbox.y.work.3.41.9.17.0.1.2", None),
        ("", None),
    ],
)
def test_an_acknowledgement_is_read_in_both_formats_of_the_server(reply, read):
    assert protocol.read_delivery(reply) == read


def test_of_the_acknowledgements_of_a_stream_a_wildcard_spares_everything_but_numbers():
    assert protocol.ack_subjects("S") == "$JS.ACK.S.worker.*.*.*.*.*"
    assert protocol.ack_subjects("S", "_.hash") == "$JS.ACK._.hash.S.worker.*.*.*.*.>"


@pytest.mark.parametrize(
    ("command", "positions"),
    [
        ("get a", [1]),
        ("blpop a b 0", [1, 2]),
        ("mset a 1 b 2", [1, 3]),
        ("xreadgroup group streams me streams a b > >", [5, 6]),
        ("zunionstore d 2 a b weights 1 2", [1, 3, 4]),
        ("ping", []),
    ],
)
def test_the_keys_of_a_redis_command_are_found(command, positions):
    assert key_positions(command.split()) == positions


def test_a_duration_is_read_or_refused_with_a_sentence_to_translate():
    assert parse_duration("1d12h") == timedelta(days=1, hours=12)
    with pytest.raises(WrongDuration, match="“soon” is not a duration") as refused:
        parse_duration("soon")
    assert "{text}" in refused.value.sentence
