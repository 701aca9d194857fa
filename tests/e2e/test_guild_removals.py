"""The bot is removed from servers, or seems to be."""

from __future__ import annotations

import pytest

from bot.app import open_app
from bot.clock import elapsed
from bot.sandboxes.model import OPERATOR
from tests.e2e.conftest import running, title


@pytest.fixture
async def bound(scene):
    """Ada's server bound to `blue`, Bob's to `red`."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red", bind_here=True)
    return scene


def removals(person):
    return [message for message in person.inbox if title(message) == "The bot was removed from a server"]


async def told(person):
    return await person.wait_for_dm(lambda message: message in removals(person), timeout=10)


async def unbindings(app, sandbox):
    rows = await app.stores.pool.fetch(
        "SELECT actor_id, details FROM sandbox_audit_log WHERE sandbox_id = $1 AND event_type = 'guild_unregistered'",
        sandbox.id,
    )
    return [(row["actor_id"], row["details"]["guild_id"]) for row in rows]


async def test_a_server_that_removes_the_bot_is_unbound_and_the_owner_told_once(bound):
    bound.lab.kick_bot()
    message = await told(bound.ada)
    blue = await bound.sandbox("blue")
    assert blue.guild_ids == ()
    assert "**Ada's Lab**" in message.embeds[0]["description"]
    assert message.components == []
    assert await unbindings(bound.app, blue) == [(None, str(bound.lab.id))]
    assert bound.app.table.lookup(bound.lab.id, elapsed()) is None

    await bound.app.bot.wait_until_ready()
    for _ in range(2):
        await bound.app.guild_removals.check()
        await bound.app.notices.dispatch(bound.app.bot.admins)
    assert len(removals(bound.ada)) == 1
    assert removals(bound.discord.owner) == removals(bound.bob) == []

    bound.lab.invite_bot()
    await bound.ada.command("sandbox bind-guild", channel=bound.lab.general, sandbox="blue")
    await bound.app.guild_removals.check()
    assert (await bound.sandbox("blue")).guild_ids == (bound.lab.id,)


async def test_an_outage_is_no_removal(bound):
    await bound.app.bot.wait_until_ready()
    bound.lab.set_unavailable(True)
    bound.arcade.kick_bot()
    await told(bound.bob)
    await bound.app.guild_removals.check()
    bound.lab.set_unavailable(False)
    await bound.app.guild_removals.check()
    assert (await bound.sandbox("blue")).guild_ids == (bound.lab.id,)
    assert removals(bound.ada) == []


async def test_a_removal_while_the_bot_was_away_is_found_at_its_start_and_told_once(bound, settings_of, discord):
    bound.app.stop.set()
    await discord.wait_until_gone()
    bound.lab.kick_bot()
    bound.arcade.set_unavailable(True)
    async with open_app(settings_of(discord)) as app, running(app, discord):
        message = await told(bound.ada)
        assert str(bound.lab.id) in message.embeds[0]["description"]
        assert (await app.manager.get_by_name("red")).guild_ids == (bound.arcade.id,)
    async with open_app(settings_of(discord)) as app, running(app, discord):
        await app.guild_removals.check()
        await app.notices.dispatch(app.bot.admins)
        assert await unbindings(app, await app.manager.get_by_name("blue")) == [(None, str(bound.lab.id))]
    assert len(removals(bound.ada)) == 1
    assert removals(bound.bob) == []


async def test_a_removal_while_the_line_was_cut_arrives_with_the_resume(bound):
    await bound.discord.hang_up()
    bound.lab.kick_bot()
    await told(bound.ada)
    assert bound.discord.resumes == 1
    assert (await bound.sandbox("blue")).guild_ids == ()


async def test_a_session_that_names_no_servers_has_each_asked_for_before_it_is_believed_gone(bound):
    await bound.app.bot.wait_until_ready()
    await bound.app.guild_removals.check()
    bound.app.bot._connection._guilds.clear()  # as a resume by a new process leaves it
    await bound.app.guild_removals.check()
    assert (await bound.sandbox("blue")).guild_ids == (bound.lab.id,)
    for guild, owner in ((bound.arcade, bound.bob), (bound.lab, bound.ada)):
        guild.kick_bot()  # discord.py knows no such server and does not speak of it
        await told(owner)


async def test_the_operator_may_bind_a_server_before_the_bot_is_in_it(bound):
    await bound.app.bot.wait_until_ready()
    elsewhere = 10**18
    await bound.app.manager.register_guild(OPERATOR, (await bound.sandbox("blue")).id, elsewhere)
    await bound.app.guild_removals.check()
    assert set((await bound.sandbox("blue")).guild_ids) == {bound.lab.id, elsewhere}
