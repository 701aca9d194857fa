"""Whatever a store or Discord does, an interaction is acknowledged in time, and then a sentence says who is away.

Each test of the first kind waits for the limits, which are shortened, so that it takes some seconds.
"""

import asyncio

import pytest

from bot import constants
from tests.e2e.conftest import text, title
from tests.faults.wires import Wire
from tests.logs import logged

pytestmark = pytest.mark.long

ACKNOWLEDGED_WITHIN_MS = 1500
WORK_S = 2.0
LATE_S = 1.5
"""More than the work's limit, on a busy machine."""

LIMITS = {
    "PROMISE_AFTER_S": 0.3,
    "SUGGEST_WITHIN_S": 0.6,
    "WORK_WITHIN_S": WORK_S,
    "POSTGRES_GIVEN_BACK_WITHIN_S": 0.3,
    "REDIS_ANSWER_WITHIN_S": 1.0,
    "NATS_ANSWER_WITHIN_S": 0.5,
    "HEALTH_TIMEOUT_S": 0.5,
}
LINES = {"PostgreSQL": ("postgres",), "Redis": ("redis",), "NATS": ("nats", "nats_auth", "nats_system")}


@pytest.fixture
async def scene(open_scene, wires, monkeypatch):
    """Its bot reaches the stores by the wires, and waits for less long than usual."""
    for name, value in LIMITS.items():
        monkeypatch.setattr(constants, name, value)
    async with open_scene(sandboxes={"max_per_owner": 20}) as scene:
        yield scene


@pytest.fixture
def settings_of(settings_of, wires):
    return lambda *args, **changes: settings_of(*args, **changes).model_copy(update=wires.sections)


@pytest.fixture
def told():
    """What is logged from now on and worth somebody's attention: (message, traceback or not)."""
    with logged("WARNING") as found:
        yield found


async def prepared(scene):
    """Everything that can be sent or pressed, by its name."""
    ada, owner, lab = scene.ada, scene.discord.owner, scene.lab.general
    den = scene.discord.add_guild("Ada's Den", owner=ada).general
    for name in ("alpha", "beta", "gamma", "delta", "epsilon"):
        await ada.command("sandbox create", channel=lab, name=name, bind_here=name == "alpha")
    destroy = await ada.command("sandbox destroy", channel=lab, sandbox="gamma")
    reset = await ada.command("sandbox reset", channel=lab, sandbox="delta")
    keep = await ada.command("sandbox reset", channel=lab, sandbox="alpha")
    await ada.command("sandbox connect", channel=lab, sandbox="epsilon")
    connect = await ada.command("sandbox connect", channel=lab, sandbox="epsilon")
    return {
        "list": lambda: ada.command("sandbox list", channel=lab),
        "status": lambda: ada.command("sandbox status", channel=lab, sandbox="alpha"),
        "audit": lambda: ada.command("sandbox audit", channel=lab, sandbox="alpha"),
        "connect": lambda: ada.command("sandbox connect", channel=lab, sandbox="alpha"),
        "extend": lambda: ada.command("sandbox extend", channel=lab, sandbox="beta", by="1h"),
        "create": lambda: ada.command("sandbox create", channel=lab, name="late"),
        "bind-guild": lambda: ada.command("sandbox bind-guild", channel=den, sandbox="beta"),
        "unbind-guild": lambda: ada.command("sandbox unbind-guild", channel=lab),
        "destroy": lambda: ada.command("sandbox destroy", channel=lab, sandbox="alpha"),
        "reset": lambda: ada.command("sandbox reset", channel=lab, sandbox="alpha"),
        "admin list": lambda: owner.command("sandbox-admin list", channel=scene.lobby.general),
        "admin destroy": lambda: owner.command("sandbox-admin destroy", channel=scene.lobby.general, sandbox="beta"),
        "orphans": lambda: owner.command("sandbox-admin orphans", channel=scene.lobby.general),
        "sweep": lambda: owner.command("sandbox-admin sweep", channel=scene.lobby.general),
        "Destroy": lambda: ada.click(destroy.message, "Destroy"),
        "Reset": lambda: ada.click(reset.message, "Reset"),
        "Keep it": lambda: ada.click(keep.message, "Keep it"),
        "New credentials": lambda: ada.click(connect.message, "New credentials"),
    }


def says(reply, words):
    return reply.message is not None and words in text(reply)


async def press_all(presses):
    """The replies, each as its client first shows it."""
    replies = await asyncio.gather(*(press() for press in presses.values()))
    by_name = dict(zip(presses, replies, strict=True))
    took = {name: reply.ack_ms for name, reply in by_name.items()}
    assert all(ms and ms < ACKNOWLEDGED_WITHIN_MS for ms in took.values()), took
    return by_name


async def all_say(replies, store, *, or_outcome=False):
    def is_answered(reply):
        return says(reply, store) or (or_outcome and reply.message is not None and not says(reply, "bot's fault"))

    async def one(name, reply):
        try:
            await reply.wait_for(is_answered, WORK_S + LATE_S)
        except TimeoutError:
            pytest.fail(f"{name} does not name {store}: {reply}")

    await asyncio.gather(*(one(name, reply) for name, reply in replies.items()))
    assert any(says(reply, store) for reply in replies.values())


async def is_well(scene):
    """Once what was broken off has let go of its lines. Each takes another connection of the pool."""
    await scene.app.bot.finish(5)
    pressed = [scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="beta", by="1h") for _ in "12345"]
    replies = await asyncio.gather(*pressed)
    assert [title(reply.message) for reply in replies] == ["Sandbox “beta” lives longer"] * 5
    assert max(reply.ack_ms for reply in replies) < ACKNOWLEDGED_WITHIN_MS


@pytest.mark.parametrize("strike", [Wire.freeze, Wire.lose], ids=["frozen", "half-open"])
async def test_without_an_answer_of_postgresql_everything_says_so(scene, wires, told, strike):
    presses = await prepared(scene)
    strike(wires.lines["postgres"])
    replies = await press_all(presses)
    # Of half-open lines the first that fails has the others dropped: who asks a moment later has an outcome.
    await all_say(replies, "PostgreSQL", or_outcome=strike is Wire.lose)
    wires.lines["postgres"].thaw()
    await is_well(scene)
    assert not [record for record in told if record["exception"] or record["level"].name == "ERROR"]


async def test_without_an_answer_of_redis_what_needs_it_says_so(scene, wires):
    presses = await prepared(scene)
    wires.lines["redis"].freeze()
    replies = await press_all(presses)
    needing = {"status", "connect", "extend", "Destroy", "Reset", "New credentials"}
    await all_say({name: replies[name] for name in needing}, "Redis")
    wires.lines["redis"].thaw()
    await is_well(scene)


async def test_without_an_answer_of_nats_what_needs_it_says_so(scene, wires):
    presses = await prepared(scene)
    for line in LINES["NATS"]:
        wires.lines[line].freeze()
    replies = await press_all(presses)
    needing = {"status", "extend", "create", "Destroy", "Reset", "New credentials"}
    await all_say({name: replies[name] for name in needing}, "NATS")
    for line in LINES["NATS"]:
        wires.lines[line].thaw()
    await is_well(scene)


async def test_a_change_that_has_begun_is_carried_through_and_its_outcome_shown(scene, wires):
    presses = await prepared(scene)
    wires.lines["redis"].freeze()
    reply = await presses["extend"]()
    assert says(reply, "Redis is slow to answer")
    wires.lines["redis"].thaw()
    await reply.wait_for(lambda it: says(it, "lives longer"))
    assert len(reply.messages) == 1


async def test_suggestions_that_cannot_be_had_in_time_are_none_and_no_news(scene, wires, told):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    wires.lines["postgres"].freeze()
    assert await scene.ada.autocomplete("sandbox status", channel=scene.lab.general, focused="sandbox") == []
    wires.lines["postgres"].thaw()
    (choice,) = await scene.ada.autocomplete("sandbox status", channel=scene.lab.general, focused="sandbox")
    assert choice["value"] == "blue"
    assert told == []


async def test_an_outcome_that_is_shown_stays_whatever_follows_it(scene, wires, monkeypatch):
    """The bot still tries to remember that the message is its own when the time for the work is over."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    monkeypatch.setattr(constants, "WORK_WITHIN_S", 0.4)
    wires.lines["redis"].freeze()
    reply = await scene.ada.command("sandbox destroy", channel=scene.lab.general, sandbox="blue")
    await scene.app.bot.finish(5)
    assert says(reply, "Destroy “blue”?")
