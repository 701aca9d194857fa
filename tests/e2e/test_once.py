"""Discord may send an interaction again, to the same process or to another one: it is carried out once, and answered
once."""

import asyncio
import copy
import json
from datetime import timedelta
from types import SimpleNamespace

import asyncpg
import pytest

from bot.answering import Answer
from bot.app import open_app
from bot.sandboxes.lifecycle.reaper import Sweep
from bot.supervisor import State
from tests.e2e.conftest import environment_in, text, title

HOUR = timedelta(hours=1)


@pytest.fixture
async def other(scene, settings_of):
    """A second process of the bot on the same stores, logged in: it gets what a test gives it."""
    async with open_app(settings_of(scene.discord)) as app:
        await app.login()
        yield app
        await app.bot.finish(10)
        await app.bot.close()


def last_interaction(discord):
    """As Discord sent it."""
    sent = [one for one in discord.dispatched if one.event == "INTERACTION_CREATE"]
    return json.loads(sent[-1].text)["d"]


def give(app, data):
    """The interaction comes to that process."""
    app.bot._connection.parse_interaction_create(copy.deepcopy(data))


async def finish(data, *apps):
    """The interaction has come to them, and they have answered it."""
    async with asyncio.timeout(15):
        for app in apps:
            while int(data["id"]) not in app.bot._begun:
                await asyncio.sleep(0.005)
            await app.bot.finish(15)


@pytest.fixture(params=["afterwards", "at once"])
def twice(request, scene, other, monkeypatch):
    """What somebody does comes to both processes; the reply when both are done with it."""
    monkeypatch.setattr("bot.constants.OWN_MESSAGES_ANSWER_WITHIN_S", 10)  # a slow one is answered in another place

    def hear(event, data, guild_id=None):
        if event == "INTERACTION_CREATE" and listening:
            give(other, data)

    listening = False
    scene.discord.world.core.events.subscribe(hear)

    async def do(act):
        nonlocal listening
        listening = request.param == "at once"
        reply = await act
        data = last_interaction(scene.discord)
        await finish(data, scene.app)
        if not listening:
            give(other, data)
        await finish(data, other)
        listening = False
        return reply

    return do


@pytest.fixture
async def blue(scene):
    """Ada's sandbox."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", ttl="2h")
    return await scene.sandbox("blue")


async def ask(scene, person, command, channel, **options):
    """A command's question, when the bot knows that it is its own."""
    reply = await person.command(command, channel=channel, **options)
    await finish(last_interaction(scene.discord), scene.app)
    return reply.message


async def changes(scene, sandbox, event):
    """How often the audit log tells of it."""
    query = "SELECT count(*) FROM sandbox_audit_log WHERE sandbox_id = $1 AND event_type = $2"
    return await scene.app.stores.pool.fetchval(query, sandbox.id, event)


async def connects(environment):
    """Whether PostgreSQL lets a worker in with it."""
    try:
        connection = await asyncpg.connect(environment["SANDBOX_DATABASE_URL"])
    except asyncpg.PostgresError:
        return False
    await connection.close()
    return True


async def test_each_command_makes_its_change_once_and_answers_once(scene, twice):
    async def use(command, said, person=scene.ada, **options):
        reply = await twice(person.command(f"sandbox {command}", channel=scene.lab.general, **options))
        assert title(reply.message) == said
        assert len(reply.messages) == 1
        return reply

    await use("create", "Sandbox “blue” is running", name="blue", ttl="2h")
    (blue,) = await scene.app.manager.list()
    await use("extend", "Sandbox “blue” lives longer", sandbox="blue", by="8h")
    assert (await scene.sandbox("blue")).expires_at == blue.expires_at + 8 * HOUR
    await use("bind-guild", "Server bound", sandbox="blue")
    assert (await scene.sandbox("blue")).guild_ids == (scene.lab.id,)
    await use("unbind-guild", "Server unbound")
    shown = await use("connect", "Connect to “blue”", sandbox="blue")
    assert await connects(environment_in(shown))
    for event in ("sandbox_created", "ttl_extended", "guild_registered", "guild_unregistered", "credentials_issued"):
        assert await changes(scene, blue, event) == 1


async def test_each_button_makes_its_change_once_and_answers_once(scene, twice, blue):
    ada, here = scene.ada, scene.lab.general
    aged = "UPDATE sandboxes SET created_at = now() - interval '2 h', expires_at = now() + interval '1 min'"
    await scene.app.stores.pool.execute(aged)
    notice = await ada.wait_for_dm(lambda message: message.components)
    before = (await scene.sandbox("blue")).expires_at
    reply = await twice(ada.click(notice, "Extend by 1d"))
    assert (title(reply.message), len(reply.messages)) == ("Sandbox “blue” lives longer", 1)
    assert (await scene.sandbox("blue")).expires_at == before + 24 * HOUR

    await ada.command("sandbox connect", channel=here, sandbox="blue")
    question = await ask(scene, ada, "sandbox connect", here, sandbox="blue")
    reply = await twice(ada.click(question, "New credentials"))
    assert len(reply.messages) == 1
    assert await connects(environment_in(reply))
    assert await changes(scene, blue, "credentials_issued") == 2

    question = await ask(scene, ada, "sandbox reset", here, sandbox="blue")
    await twice(ada.click(question, "Reset"))
    assert title(question) == "Sandbox “blue” is as when it was made"
    assert await changes(scene, blue, "sandbox_reset") == 1

    question = await ask(scene, ada, "sandbox destroy", here, sandbox="blue")
    reply = await twice(ada.click(question, "Destroy"))
    assert (title(question), reply.messages) == ("Sandbox “blue” is destroyed", [question])
    assert await changes(scene, blue, "sandbox_destroyed") == 1


async def test_what_an_admin_does_is_done_once_and_answered_once(scene, other, twice, blue, monkeypatch):
    owner, here = scene.discord.owner, scene.lobby.general
    sweeps: list[Sweep] = []
    question = await ask(scene, owner, "sandbox-admin destroy", here, sandbox="blue")
    await twice(owner.click(question, "Destroy"))
    assert title(question) == "Sandbox “blue” is destroyed"
    assert await changes(scene, blue, "sandbox_destroyed") == 1

    async def collected():  # by itself, once at the start
        return scene.app.supervisor.parts["orphans"].state is State.RUNNING

    await scene.until(collected)
    await scene.app.stores.pool.execute("UPDATE sandboxes SET destroyed_at = now() - interval '10 d'")
    await scene.app.stores.redis.set(blue.redis_prefix + "late", 1)
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="green")
    question = await ask(scene, owner, "sandbox-admin orphans", here)
    await twice(owner.click(question, "Drop them"))
    assert title(question) == "1 orphan dropped"

    async def sweep():
        sweeps.append(Sweep(len(sweeps), 0, 0, 0))
        return sweeps[-1]

    for app in (scene.app, other):
        monkeypatch.setattr(app.bot, "reaper", SimpleNamespace(sweep=sweep))
    reply = await twice(owner.command("sandbox-admin sweep", channel=here))
    assert "Warned: 0" in text(reply)
    assert len(reply.messages) == len(sweeps) == 1


@pytest.fixture
def lost(scene, monkeypatch):
    """What somebody does, done by a process that dies before it can show the outcome; as Discord sent it, and the
    reply. `promised`: Discord had its first answer by then."""

    async def do(act, *, promised, before_the_change=False):
        async def die(answer, *_, **__):
            if promised:
                await answer.promise()
            reached.set()
            await asyncio.Event().wait()

        reached = asyncio.Event()
        with monkeypatch.context() as patch:
            patch.setattr(Answer, "is_wanted" if before_the_change else "show", die)
            patch.setattr("bot.constants.PROMISE_AFTER_S", 60)
            waiting = asyncio.create_task(act)
            await reached.wait()
        for task in tuple(scene.app.bot._answering):
            task.cancel()
        return last_interaction(scene.discord), waiting

    return do


@pytest.mark.parametrize("promised", [False, True], ids=["unanswered", "thinking"])
async def test_the_outcome_that_a_dead_process_could_not_show_is_shown_by_the_next(
    scene, other, lost, blue, promised, monkeypatch
):
    monkeypatch.setattr("bot.constants.TAKEN_OVER_AFTER_S", 0.2)
    monkeypatch.setattr("bot.constants.SHOWN_CREDENTIALS_ASKED_EVERY_S", 0.05)

    async def use(command, **options):
        act = scene.ada.command(f"sandbox {command}", channel=scene.lab.general, sandbox="blue", **options)
        data, waiting = await lost(act, promised=promised)
        give(other, data)
        reply = await waiting
        assert len(reply.messages) == 1
        return reply

    assert title((await use("extend", by="8h")).message) == "Sandbox “blue” lives longer"
    assert (await scene.sandbox("blue")).expires_at == blue.expires_at + 8 * HOUR
    shown = await use("connect")  # a token that nobody can be shown any more is replaced
    assert "Those are ended, and these are new" in text(shown)
    assert await connects(environment_in(shown))
    assert await changes(scene, blue, "credentials_issued") == 2


async def test_what_comes_again_late_is_done_only_if_somebody_had_promised_an_answer(
    scene, other, lost, blue, monkeypatch
):
    async def use(**options):
        act = scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="blue", by="8h")
        data, waiting = await lost(act, before_the_change=True, **options)
        if not options["promised"]:
            scene.discord.world.interactions.awaiting(int(data["id"]), data["token"]).reply.failed = True
        give(other, data)
        await finish(data, other)
        waiting.cancel()
        return await scene.sandbox("blue")

    monkeypatch.setattr("bot.request.is_late", lambda: True)
    assert (await use(promised=False)).expires_at == blue.expires_at
    assert (await use(promised=True)).expires_at == blue.expires_at + 8 * HOUR


async def test_a_repeat_is_answered_to_the_same_person_alone_and_only_if_they_still_may(scene, other, blue):
    owner = scene.discord.owner
    reply = await scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="blue", by="1h")
    data = last_interaction(scene.discord)
    data["member"]["user"] = owner.payload()  # an admin, who may extend it
    give(other, data)
    await finish(data, other)
    assert "Somebody else has asked for that" in text(reply)
    reply = await owner.command("sandbox extend", channel=scene.lobby.general, sandbox="blue", by="1h")
    data = last_interaction(scene.discord)
    other.bot.admins = frozenset()
    give(other, data)
    await finish(data, other)
    assert "SANDBOX_004" in text(reply)
    assert (await scene.sandbox("blue")).expires_at == blue.expires_at + 2 * HOUR


async def test_a_process_begins_no_interaction_twice(scene, blue):
    waiting = asyncio.create_task(
        scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="blue", by="1h")
    )
    async with asyncio.timeout(5):
        while not scene.app.bot._answering:
            await asyncio.sleep(0)
    data = last_interaction(scene.discord)
    give(scene.app, data)  # while the first is under way
    reply = await waiting
    give(scene.app, data)
    await finish(data, scene.app)
    requests = [path for _, path, _ in scene.discord.requests if str(data["id"]) in path or data["token"] in path]
    assert len(requests) == 1
    assert title(reply.message) == "Sandbox “blue” lives longer"
    assert (await scene.sandbox("blue")).expires_at == blue.expires_at + HOUR


async def test_who_writes_to_the_bot_is_helped_once_though_the_message_comes_again(scene):
    message = await scene.ada.send_dm("hello?")
    await scene.ada.wait_for_dm()
    await scene.discord.dispatch("MESSAGE_CREATE", message.payload(), shard=0)
    await scene.ada.command("sandbox list")  # is read after it
    assert len(scene.ada.inbox) == 1
