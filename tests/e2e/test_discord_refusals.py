"""Discord cuts, refuses, comes late or answers 5xx: the user hears what became of it, and it is no bug of ours."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from discord import Forbidden, HTTPException

from bot import constants
from bot.sandboxes.lifecycle.notices import Delivery, NoticeKind, Outcome
from bot.ui.messenger import Messenger
from tests.e2e.conftest import environment_in, text, title
from tests.e2e.test_slow_stores import says
from tests.logs import logged

UNKNOWN_INTERACTION = (404, {"code": 10062, "message": "Unknown interaction"})
BANNED = (429, "error code: 1015")
HOUR = timedelta(hours=1)
IN_BETWEEN = (403, "<html>Access denied</html>")
FORBIDDEN_HERE = (403, {"code": 50007, "message": "Cannot send messages to this user"})


@pytest.fixture
def told(caplog):
    """What is worth somebody's attention from now on, also of discord.py: (level, message, traceback or None)."""

    def read(record):
        return record["level"].name, record["message"], record["exception"]

    with logged("WARNING", read) as found:
        yield found
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.fixture
async def blue(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    return await scene.sandbox("blue")


@pytest.fixture
def promised(monkeypatch):
    """Every answer is promised before it comes."""
    monkeypatch.setattr(constants, "PROMISE_AFTER_S", 0.0)


async def until_told(scene, told):
    async def is_told():
        return told

    await scene.until(is_told)


async def extended(scene, blue):
    return (await scene.sandbox("blue")).expires_at > blue.expires_at


async def test_an_answer_whose_request_was_cut_is_shown_once(scene, blue, told):
    scene.discord.cut_next("/callback")
    reply = await scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="blue", by="1h")
    await reply.wait_for(lambda it: says(it, "lives longer"))
    await scene.app.bot.finish(5)
    assert (len(reply.messages), told) == (1, [])


async def test_an_answer_whose_promise_was_cut_is_not_left_thinking(scene, blue, promised, told):
    scene.discord.cut_next("/callback")
    reply = await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")
    assert reply.deferred
    assert environment_in(reply)["SANDBOX_NAME"] == "blue"
    await scene.app.bot.finish(5)
    assert (len(reply.messages), reply.message.ephemeral, told) == (1, True, [])


async def test_a_promised_answer_whose_request_was_cut_is_sent_again_with_its_file(scene, blue, promised, told):
    scene.discord.cut_next("/messages/@original")
    reply = await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")
    assert environment_in(reply)["SANDBOX_NAME"] == "blue"
    await scene.app.bot.finish(5)
    assert (len(reply.messages), told) == (1, [])


async def test_the_place_of_a_question_is_taken_although_a_request_was_cut(scene, blue, told):
    question = await scene.ada.command("sandbox reset", channel=scene.lab.general, sandbox="blue")
    scene.discord.cut_next("/callback")
    reply = await scene.ada.click(question.message, "Keep it")
    await reply.wait_for(lambda it: says(it, "stays as it is"))
    await scene.app.bot.finish(5)
    assert (reply.message, told) == (question.message, [])


@pytest.mark.parametrize("taken", [True, False])
async def test_the_place_of_a_question_is_taken_although_its_promise_was_cut(
    scene, blue, dsn, monkeypatch, told, taken
):
    question = await scene.ada.command("sandbox reset", channel=scene.lab.general, sandbox="blue")
    monkeypatch.setattr(constants, "PROMISE_AFTER_S", 0.2)
    scene.discord.cut_next("/callback", taken=taken)
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute("LOCK TABLE sandboxes IN ACCESS EXCLUSIVE MODE")
        reply = await scene.ada.click(question.message, "Keep it")
        assert reply.deferred
    await other.close()
    await reply.wait_for(lambda it: says(it, "stays as it is"))
    await scene.app.bot.finish(5)
    assert (reply.message, told) == (question.message, [])


async def test_what_another_process_has_promised_is_answered(scene, blue, monkeypatch, told):
    """As when a bot was killed after its promise, and Discord sends the interaction to its successor."""
    begin = scene.app.bot.begin_answer

    def promised_by_another(interaction, **how):
        answer = begin(interaction, **how)
        respond = interaction.response.send_message

        async def send(**message):
            await interaction.response.defer(ephemeral=True)
            interaction.response._response_type = None
            return await respond(**message)

        monkeypatch.setattr(type(interaction.response), "send_message", lambda _, **message: send(**message))
        return answer

    monkeypatch.setattr(scene.app.bot, "begin_answer", promised_by_another)
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    assert (title(reply.message), len(reply.messages), told) == ("Sandbox “blue” is running", 1, [])


@pytest.mark.parametrize("refusal", [UNKNOWN_INTERACTION, BANNED, FORBIDDEN_HERE], ids=["late", "banned", "forbidden"])
async def test_an_answer_that_discord_refuses_is_one_warning(scene, blue, monkeypatch, told, refusal):
    scene.discord.settings.callback_deadline_s = 0.5
    monkeypatch.setattr(constants, "INTERACTION_ANSWERABLE_S", 0.5)
    scene.discord.refuse_next("/callback", *refusal, times=10)
    reply = await scene.ada.command("sandbox extend", channel=scene.lab.general, sandbox="blue", by="1h")
    assert reply.failed
    assert await extended(scene, blue)
    await until_told(scene, told)
    assert told == [("WARNING", "the user could not be told", None)]


async def test_an_answer_comes_through_a_discord_that_answers_5xx_for_a_moment(scene, blue, promised, told):
    """discord.py tries again after a second, for which this test waits."""
    scene.discord.refuse_next("/messages/@original", 503, {"message": "503", "code": 0})
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    assert (title(reply.message), told) == ("Sandbox “blue” is running", [])


async def test_a_first_answer_comes_in_time_through_a_discord_that_answers_5xx(scene, blue, monkeypatch, told):
    """discord.py alone would try again after one second, and then after three."""
    scene.discord.settings.callback_deadline_s = 0.9
    monkeypatch.setattr(constants, "FIRST_ANSWER_TAKEN_WITHIN_S", 0.1)
    scene.discord.refuse_next("/callback", 502, "<html>Bad gateway</html>")
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    assert (title(reply.message), told) == ("Sandbox “blue” is running", [])


@pytest.mark.parametrize("path", ["/callback", "/messages/@original"])
async def test_an_answer_comes_through_lost_connections(scene, blue, monkeypatch, told, path):
    monkeypatch.setattr(constants, "ANSWER_RETRY_S", 0.02)
    if path == "/messages/@original":
        monkeypatch.setattr(constants, "PROMISE_AFTER_S", 0.0)
    for _ in range(4):
        scene.discord.cut_next(path, taken=False)
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    assert (title(reply.message), len(reply.messages), told) == ("Sandbox “blue” is running", 1, [])


@pytest.mark.parametrize("path", ["/callback", "/messages/@original"])
async def test_an_answer_waits_as_long_as_cloudflare_asks(scene, blue, monkeypatch, told, path):
    if path == "/messages/@original":
        monkeypatch.setattr(constants, "PROMISE_AFTER_S", 0.0)
    scene.discord.refuse_next(path, *BANNED, headers={"Retry-After": "0.4"})
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    assert (title(reply.message), told) == ("Sandbox “blue” is running", [])


async def test_work_does_not_wait_until_its_progress_can_be_shown(scene, blue, monkeypatch):
    monkeypatch.setattr(constants, "PROGRESS_WITHIN_S", 0.2)
    question = await scene.ada.command("sandbox reset", channel=scene.lab.general, sandbox="blue")
    scene.discord.set_failing("/callback", 503)
    pressing = asyncio.create_task(scene.ada.click(question.message, "Reset"))

    async def is_reset():
        query = "SELECT count(*) FROM sandbox_audit_log WHERE event_type = 'sandbox_reset'"
        return await scene.app.stores.pool.fetchval(query)

    await scene.until(is_reset)
    scene.discord.set_failing("/callback", None)
    reply = await pressing
    await reply.wait_for(lambda it: says(it, "is as when it was made"))


@pytest.mark.parametrize("status", [403, 404])
async def test_what_answers_in_discords_place_says_nothing_of_a_server(scene, blue, status):
    await scene.app.bot.wait_until_ready()
    await scene.ada.command("sandbox bind-guild", channel=scene.lab.general, sandbox="blue")
    scene.app.bot._connection._guilds.clear()  # as a resume by a new process leaves it
    scene.discord.refuse_next("/guilds/", status, IN_BETWEEN[1], times=10**6)
    with pytest.raises(HTTPException):
        await scene.app.guild_removals.check()
    name = {"sandbox": "blue", "guild": str(scene.lobby.id)}
    reply = await scene.ada.command("sandbox bind-guild", channel=scene.arcade.general, **name)
    assert "Discord is not reachable" in text(reply)
    scene.discord.end_refusals()
    assert (await scene.sandbox("blue")).guild_ids == (scene.lab.id,)


async def test_a_notice_is_not_given_up_for_what_answers_in_discords_place(scene, blue):
    messenger = Messenger(scene.app.bot, channel_id=None, grace=HOUR, extend_by=HOUR)
    delivery = Delivery(1, scene.ada.id, 1, NoticeKind.EXPIRY_WARNING, blue.id, blue.expires_at)
    scene.discord.refuse_next("/messages", *IN_BETWEEN)
    with pytest.raises(Forbidden):
        await messenger.deliver(delivery, blue)
    scene.discord.refuse_next("/messages", *FORBIDDEN_HERE)
    assert await messenger.deliver(delivery, blue) is Outcome.UNDELIVERABLE


async def test_a_discord_that_does_not_say_who_manages_a_server_refuses_nobody(scene, blue, monkeypatch, told):
    monkeypatch.setattr(constants, "WORK_WITHIN_S", 0.5)
    scene.discord.set_failing(f"/members/{scene.ada.id}", 503)
    name = {"sandbox": "blue", "guild": str(scene.lobby.id)}
    reply = await scene.ada.command("sandbox bind-guild", channel=scene.lab.general, **name)
    assert "Discord is not reachable" in text(reply)
    assert [level for level, *_ in told] == ["WARNING"]
    scene.discord.set_failing(f"/members/{scene.ada.id}", None)
    scene.discord.refuse_next(f"/members/{scene.ada.id}", *BANNED)
    reply = await scene.ada.command("sandbox bind-guild", channel=scene.lab.general, **name)
    assert "Discord is not reachable" in text(reply)
    reply = await scene.ada.command("sandbox bind-guild", channel=scene.lab.general, **name)
    assert "Manage Server" in text(reply)


async def test_suggestions_that_discord_does_not_take_are_no_news(scene, blue, told):
    scene.discord.settings.callback_deadline_s = 0.3
    for refusal in (UNKNOWN_INTERACTION, BANNED):
        scene.discord.refuse_next("/callback", *refusal)
        assert await scene.ada.autocomplete("sandbox status", channel=scene.lab.general, focused="sandbox") == []
    assert told == []


async def test_help_that_cannot_be_sent_is_one_warning(scene, told):
    scene.discord.refuse_next("/messages", *FORBIDDEN_HERE)
    await scene.ada.send_dm("Hello?")
    await until_told(scene, told)
    assert told == [("WARNING", "an event was not looked after", None)]
