"""`sandbox-worker tail` as a developer runs it, beside their worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from sandbox_worker import ServiceUnavailable
from tests.service.conftest import ADA
from tests.service.workers import GUILD, Gate, make_place

TAIL = [sys.executable, "-m", "sandbox_worker", "tail"]


class Tail:
    def __init__(self, process):
        self.process = process

    async def lines(self, count):
        """The next ones."""
        async with asyncio.timeout(15):
            return [(await self.process.stdout.readline()).decode().rstrip("\n") for _ in range(count)]

    async def records(self, count):
        return [json.loads(line) for line in await self.lines(count)]

    async def end(self):
        """Exit code and what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        return await self.ended()

    async def ended(self):
        async with asyncio.timeout(20):
            error = await self.process.stderr.read()
            return await self.process.wait(), error.decode()


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client)


@pytest.fixture
async def tail(tmp_path):
    """Starts it in a folder with the environment as a `.env`."""
    started = []

    async def start(environment, *options, command=TAIL):
        lines = [f"{name}='{value}'\n" for name, value in environment.items()]
        (tmp_path / ".env").write_text("".join(lines))
        own = {"PATH": os.environ["PATH"]}
        process = await asyncio.create_subprocess_exec(
            *command, *options, cwd=tmp_path, env=own, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        started.append(process)
        return Tail(process)

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def listens(place):
    """Whether the stream has a listener beside the durable consumer of the workers."""
    return (await place.nats.jetstream().stream_info(place.sandbox.stream)).state.consumer_count > 1


async def test_events_are_printed_as_they_come_and_the_worker_misses_none(place, tail):
    running = await tail(place.environment, "--json")
    await place.until(lambda: listens(place), 15)
    await place.send(content="first")
    await place.send("TYPING_START")
    first, typing = await running.records(2)
    assert (first["event"], first["sequence"], first["guild_id"]) == ("MESSAGE_CREATE", 1, str(GUILD))
    assert first["data"]["content"] == "first"
    assert first["time"].startswith("20")
    assert (typing["event"], typing["sequence"]) == ("TYPING_START", 2)
    assert await place.waiting() == 2
    assert await running.end() == (0, "")


async def test_a_reader_that_has_enough_ends_it_without_a_word(place, tail):
    running = await tail(place.environment, command=["sh", "-c", f"{' '.join(TAIL)} | head -n 1"])
    await place.until(lambda: listens(place), 15)
    await place.send(content="first")
    assert "first" in (await running.lines(1))[0]
    async with asyncio.timeout(10):
        while running.process.returncode is None:  # it hears of it when it writes
            await place.send(content="more")
            await asyncio.sleep(0.02)
    assert await running.ended() == (0, "")


async def test_what_is_stored_is_printed_from_the_time_that_is_asked_for(place, tail):
    for content in ("one", "two"):
        await place.send(content=content)
        await place.send("PRESENCE_UPDATE")
    running = await tail(place.environment, "--since", "1h", "--event", "message_create", "--event", "MESSAGE_DELETE")
    one, two = await running.lines(2)
    assert "MESSAGE_CREATE" in one
    assert '"content":"one"' in one
    assert '"content":"two"' in two
    await place.send("MESSAGE_DELETE", id="5")
    assert "MESSAGE_DELETE" in (await running.lines(1))[0]
    assert await running.end() == (0, "")


@pytest.mark.long
async def test_half_an_emoji_is_readable_and_printed_as_what_is_missing(place, tail):
    sent = json.dumps({"op": 0, "t": "MESSAGE_CREATE", "s": 1, "d": {"content": "half \ud83d of it"}}).encode()
    await place.send(raw=sent)
    async with place.worker() as sandbox:
        event = await anext(sandbox.events())
        assert (event.raw, event.data) == (sent, {"content": "half � of it"})
        await event.ack()
    (line,) = await (await tail(place.environment, "--since", "1h")).lines(1)
    assert '{"content":"half � of it"}' in line
    (record,) = await (await tail(place.environment, "--since", "1h", "--json")).records(1)
    assert record["data"] == {"content": "half � of it"}


async def test_an_outage_costs_no_event_and_doubles_none(place, tail):
    gate = Gate(place.environment["SANDBOX_NATS_URL"])
    await gate.open()
    through = {**place.environment, "SANDBOX_NATS_URL": gate.of(place.environment["SANDBOX_NATS_URL"])}
    running = await tail(through, "--json")
    await place.until(lambda: listens(place), 15)
    await place.send(content="before")
    await running.lines(1)
    await gate.shut()
    await place.send(content="meanwhile")
    await gate.open()
    await place.send(content="after")
    assert [record["data"]["content"] for record in await running.records(2)] == ["meanwhile", "after"]
    assert (await running.end())[0] == 0
    await gate.shut()


async def test_a_tail_begins_anew_when_the_server_has_forgotten_it(place, monkeypatch):
    monkeypatch.setattr("sandbox_worker.constants.MISSED_HEARTBEATS", 0.5)
    async with place.worker() as sandbox:
        events = sandbox.tail()
        first = asyncio.create_task(anext(events))
        await place.until(lambda: listens(place))
        await place.send(content="one")
        assert (await first).data["content"] == "one"
        jetstream = place.nats.jetstream()
        for consumer in await jetstream.consumers_info(place.sandbox.stream):
            if consumer.name != "worker":
                await jetstream.delete_consumer(place.sandbox.stream, consumer.name)
        await place.send(content="two")
        async with asyncio.timeout(10):
            assert (await anext(events)).data["content"] == "two"
        await events.aclose()


async def test_without_a_bot_it_says_so(manager, stores, tail):
    """Where logins are the team's, nobody needs the bot to connect."""
    sandbox = await manager.create(ADA)
    details = await manager.get_connection_details(ADA, sandbox.id)
    running = await tail({**details.environment, "NATS_URL": stores.nats_url})
    message = "sandbox-worker: The bot is not reachable: nobody answers on NATS; is the bot running? (SANDBOX_010)\n"
    assert await running.ended() == (69, message)


async def test_the_end_of_the_sandbox_is_one_line(place, tail):
    running = await tail(place.environment)
    await place.until(lambda: listens(place), 15)
    await place.manager.destroy(ADA, place.sandbox.id)
    code, error = await running.ended()
    assert code == 1
    assert error.splitlines()[-1].startswith("sandbox-worker: Sandbox “")
    assert "Traceback" not in error


async def test_wrong_usage_and_a_missing_environment_are_one_line_each(place, tail):
    code, error = await (await tail({})).ended()
    assert (code, error.count("\n")) == (78, 1)
    assert "SANDBOX_ID" in error
    code, error = await (await tail(place.environment, "--since", "yesterday")).ended()
    assert (code, error.count("\n")) == (2, 1)


async def test_a_tail_needs_nats_at_its_start(place, monkeypatch):
    monkeypatch.setattr("sandbox_worker.constants.REACHABLE_WITHIN_S", 0.5)
    gate = Gate(place.environment["SANDBOX_NATS_URL"])
    await gate.open()
    await gate.shut()
    async with place.worker(SANDBOX_NATS_URL=gate.of(place.environment["SANDBOX_NATS_URL"])) as sandbox:
        with pytest.raises(ServiceUnavailable, match="NATS is not reachable"):
            await anext(sandbox.tail())
