"""A sandbox's stream takes nothing for long: neither its neighbours nor the place in the session wait for it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot import constants
from tests.e2e.test_outages import load_on, stored_texts
from tests.e2e.test_sessions import gaps, stage  # noqa: F401

IMPATIENT = {"ack_timeout": timedelta(milliseconds=150)}


async def silence(scene, name, silent):
    """It acknowledges nothing, as if nobody led it."""
    stream = (await scene.sandbox(name)).stream
    config = (await scene.jetstream.stream_info(stream)).config
    await scene.jetstream.update_stream(config.evolve(no_ack=silent))


@pytest.mark.long
async def test_the_session_goes_on_without_a_dead_stream_and_the_next_bot_marks_what_that_may_miss(
    stage,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr(constants, "LANE_WAITED_FOR_S", 0.0)
    monkeypatch.setattr(constants, "DRAIN_WITHIN_S", 0.2)
    began_at = datetime.now(UTC)
    async with stage.again(routing=IMPATIENT) as scene:
        await silence(scene, "blue", True)
        async with load_on(scene) as load:
            await scene.until(lambda: is_left(scene))
        red = await scene.sandbox("red")

        async def red_has_all():
            return await stored_texts(scene, red) == load.sent[scene.arcade]

        await scene.until(red_has_all)
        assert not await gaps(scene, "red")
    async with stage.again(routing=IMPATIENT) as scene:
        await silence(scene, "blue", False)

        async def is_marked():
            return await gaps(scene, "blue")

        await scene.until(is_marked)
        (gap,) = await gaps(scene, "blue")
        assert (gap["cause"], gap["guild_ids"]) == ("stream unavailable", [str(scene.lab.id)])
        assert datetime.fromisoformat(gap["since"]) < datetime.now(UTC)
        assert abs((datetime.fromisoformat(gap["since"]) - began_at).total_seconds()) < 30
        assert not await gaps(scene, "red")
        await scene.until(lambda: is_stored(scene))


async def is_left(scene):
    await asyncio.sleep(0)
    return scene.app.publisher.unstored()


async def is_stored(scene):
    return not scene.app.publisher.unstored()
