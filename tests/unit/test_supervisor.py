"""Parts that fail, end by themselves, ignore their end: each is kept going, told of once, and ended in time."""

import asyncio
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest

from bot import constants
from bot.errors import ServiceUnavailable
from bot.shutdown import Deadline, cancel_repeatedly
from bot.supervisor import NEVER, PartEnded, Restarts, State, Supervisor, backoff
from tests.logs import line_of, logged

FAST = Restarts(first_s=0.001, longest_s=0.004)


@pytest.fixture
def lines():
    """What is logged: (level, message, facts)."""
    with logged(read=line_of) as found:
        yield found


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_part_says_when_it_is_running():
    async with Supervisor() as supervisor:
        go = asyncio.Event()

        async def run(part):
            await go.wait()
            part.running()
            await asyncio.Event().wait()

        part = supervisor.start("one", run)
        assert (part.state, part.last_error, part.restarts) == (State.STARTING, None, 0)
        go.set()
        await asyncio.wait_for(part.wait_running(), 5)
        assert supervisor.parts == {"one": part}
        assert part.state is State.RUNNING
    assert supervisor.parts["one"].state is State.STOPPED


async def test_two_parts_of_one_name_are_refused():
    async with Supervisor() as supervisor:
        supervisor.start("one", lambda part: asyncio.Event().wait())
        with pytest.raises(ValueError, match="one"):
            supervisor.start("one", lambda part: asyncio.Event().wait())


async def test_a_part_that_ends_by_itself_is_started_again(lines):
    async with Supervisor() as supervisor:

        async def run(part):
            part.running()

        part = supervisor.start("short", run, FAST)
        await until(lambda: part.restarts >= 3)
        assert part.last_error == "it ended by itself"


async def test_a_part_that_is_cancelled_by_nobody_is_started_again(lines):
    async with Supervisor() as supervisor:

        async def run(part):
            raise asyncio.CancelledError

        part = supervisor.start("cancels itself", run, FAST)
        await until(lambda: part.restarts >= 3)
        assert part.state is State.FAILING


async def test_a_part_that_fails_at_once_is_tried_with_growing_pauses_and_told_of_once(lines):
    async with Supervisor() as supervisor:
        starts = []

        async def run(part):
            starts.append(asyncio.get_running_loop().time())
            raise RuntimeError("broken")

        part = supervisor.start("broken", run, Restarts(first_s=0.02, longest_s=0.16))
        await until(lambda: len(starts) == 5)
        assert (part.state, part.last_error, part.restarts) == (State.FAILING, "broken", 4)
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert all(pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.16), strict=True))
    assert [(level, facts.get("part")) for level, _, facts in lines] == [("ERROR", "broken")]


async def test_an_outage_is_told_once_when_it_begins_and_once_when_it_is_over_however_many_parts_suffer(lines):
    away = True

    async def turn():
        if away:
            raise ServiceUnavailable("PostgreSQL", "connection refused")

    async with Supervisor() as supervisor:
        parts = [supervisor.start_periodic(name, turn, timedelta(seconds=0.001)) for name in ("a", "b", "c")]
        await until(lambda: all(part.restarts >= 3 for part in parts))
        assert [(level, facts["service"]) for level, _, facts in lines] == [("WARNING", "PostgreSQL")]
        away = False
        await until(lambda: all(part.state is State.RUNNING for part in parts))
        before = [part.restarts for part in parts]
    assert [message for _, message, _ in lines] == ["a service is away", "an outage is over"]
    assert [part.restarts for part in parts] == before
    assert parts[0].last_error == "PostgreSQL: connection refused"


async def test_another_failure_during_an_outage_is_told_as_well(lines):
    errors = [ServiceUnavailable("NATS", "away"), ServiceUnavailable("NATS", "away"), KeyError("a bug")]

    async def turn():
        if errors:
            raise errors.pop(0)

    async with Supervisor() as supervisor:
        part = supervisor.start_periodic("one", turn, timedelta(seconds=0.001))
        await until(lambda: part.state is State.RUNNING)
    assert [level for level, _, _ in lines] == ["WARNING", "INFO", "ERROR", "INFO"]


async def test_a_part_that_goes_on_through_an_outage_reports_it_itself(lines):
    async with Supervisor() as supervisor:
        back = asyncio.Event()

        async def run(part):
            part.running()
            part.failing(ServiceUnavailable("Valkey", "away"))
            part.failing(ServiceUnavailable("Valkey", "still away"))
            await back.wait()
            part.running()
            await asyncio.Event().wait()

        part = supervisor.start("sessions", run)
        await until(lambda: part.state is State.FAILING)
        assert part.last_error == "Valkey: still away"
        back.set()
        await until(lambda: part.state is State.RUNNING)
        assert part.restarts == 0
    assert [level for level, _, _ in lines] == ["WARNING", "INFO"]


async def test_the_first_failure_of_a_vital_part_is_the_processes(lines):
    async with Supervisor() as supervisor:

        async def run(part):
            raise ServiceUnavailable("Discord", "refused")

        part = supervisor.start("discord", run, NEVER)
        error = await asyncio.wait_for(supervisor.wait_exhausted(), 5)
        assert isinstance(error, ServiceUnavailable)
        assert (part.state, part.restarts) == (State.FAILING, 0)
    assert lines == []  # whoever ends the process says why


async def test_a_part_may_fail_so_often_in_some_time_and_no_more(lines):
    async with Supervisor() as supervisor:
        runs = 0

        async def run(part):
            nonlocal runs
            runs += 1
            part.running()
            raise PartEnded(f"number {runs}")

        supervisor.start("guardian", run, Restarts(0.001, 0.001, most=3))
        error = await asyncio.wait_for(supervisor.wait_exhausted(), 5)
        assert (str(error), runs) == ("number 4", 4)


async def test_failures_long_ago_do_not_count():
    async with Supervisor() as supervisor:
        runs = 0

        async def run(part):
            nonlocal runs
            runs += 1
            await asyncio.sleep(0.002)

        supervisor.start("guardian", run, Restarts(0.001, 0.001, most=1, within=timedelta(microseconds=100)))
        await until(lambda: runs == 6)


async def test_a_part_that_swallows_its_cancellation_is_cancelled_until_it_ends():
    async with Supervisor() as supervisor:
        swallowed = 0

        async def run(part):
            nonlocal swallowed
            part.running()
            while swallowed < 3:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    swallowed += 1

        part = supervisor.start("deaf", run)
        await part.wait_running()
    assert (swallowed, part.state, part.restarts) == (3, State.STOPPED, 0)


async def test_the_end_is_bounded_by_parts_that_ignore_it_for_ever(monkeypatch, lines):
    monkeypatch.setattr(constants, "CANCEL_AGAIN_AFTER_S", 0.01)
    enough = asyncio.Event()

    async def run(part):
        part.running()
        while not enough.is_set():
            try:
                await enough.wait()
            except asyncio.CancelledError:
                continue

    began = asyncio.get_running_loop().time()
    async with Supervisor(stop_within_s=0.1) as supervisor:
        part = supervisor.start("deaf", run)
        await part.wait_running()
    assert asyncio.get_running_loop().time() - began < 1
    assert part.state is State.RUNNING
    assert [(level, facts["parts"]) for level, _, facts in lines] == [("WARNING", ["deaf"])]
    enough.set()
    await supervisor.end()
    assert supervisor.parts["deaf"].state is State.STOPPED


async def test_parts_can_be_ended_by_name():
    async with Supervisor() as supervisor:
        first, second = (supervisor.start(name, lambda part: asyncio.Event().wait()) for name in ("first", "second"))
        await supervisor.end({"first"})
        assert (first.state, second.state) == (State.STOPPED, State.STARTING)


async def test_one_deadline_bounds_all_steps_together():
    deadline = Deadline(0.1)
    began = asyncio.get_running_loop().time()
    aborted: list[str] = []
    for name in ("one", "two", "three"):
        await deadline.close(name, asyncio.Event().wait, partial(aborted.append, name))
    assert asyncio.get_running_loop().time() - began < 0.3
    assert aborted == ["one", "two", "three"]


async def test_a_step_that_ends_in_time_is_not_cut_off():
    deadline, aborted = Deadline(5), []
    assert await deadline.finish("quick", asyncio.sleep(0))
    await deadline.close("closed", lambda: asyncio.sleep(0), lambda: aborted.append("closed"))
    assert aborted == []


async def test_a_step_that_fails_is_told_and_cut_off(lines):
    async def fail():
        raise OSError("gone")

    deadline, aborted = Deadline(5), []
    await deadline.close("NATS", fail, lambda: aborted.append("NATS"))
    assert aborted == ["NATS"]
    assert [(level, facts["step"]) for level, _, facts in lines] == [("WARNING", "NATS")]


async def test_a_deadline_that_expires_breaks_off_the_step_under_way():
    deadline = Deadline(60)
    step = asyncio.create_task(deadline.finish("long", asyncio.Event().wait()))
    await asyncio.sleep(0)
    deadline.expire()
    assert await asyncio.wait_for(step, 1) is False


async def test_tasks_that_have_ended_need_no_cancellation():
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    assert await cancel_repeatedly([task], 1) == set()
    assert not task.cancelled()


def test_pauses_double_up_to_the_longest():
    pauses = backoff(0.5, 3)
    assert [next(pauses) for _ in range(5)] == [0.5, 1, 2, 3, 3]
