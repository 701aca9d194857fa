"""Who bound a server loses the right to, and who manages one wants it back."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bot import constants
from bot.app import open_app
from bot.sandboxes.model import OPERATOR, Actor
from local_discord import LocalDiscord
from tests.e2e.conftest import running, text, title

SOON = timedelta(milliseconds=100)


@pytest.fixture
async def bound(open_scene):
    """Bob, who is made a manager of Ada's server, has bound it to his `red`; Discord tells of members."""
    async with open_scene(privileged_intents=("members",)) as scene:
        yield await bind(scene)


@pytest.fixture
async def often(monkeypatch):
    """The hour is a tenth of a second, and so is what is waited for Discord."""
    monkeypatch.setattr(constants, "BINDING_CHECK_EVERY", SOON)
    monkeypatch.setattr(constants, "BINDING_CHECK_SOON", SOON)
    monkeypatch.setattr(constants, "BINDING_ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr(constants, "BINDING_POLL_S", 0.05)
    monkeypatch.setattr(constants, "BINDING_PAUSE_S", 0.01)


@pytest.fixture
async def untold(often, open_scene):
    """The same without that intent: only the looks now and then find what has become of Bob."""
    async with open_scene() as scene:
        yield await bind(scene)


async def bind(scene):
    scene.lab.add_member(scene.bob, manage_guild=True)
    await scene.bob.command("sandbox create", channel=scene.lab.general, name="red", bind_here=True)
    assert not await is_unbound(scene)
    return scene


def told(person):
    return [message for message in person.inbox if title(message) == "A server was unbound"]


async def is_unbound(scene):
    return (await scene.sandbox("red")).guild_ids == ()


async def unbindings(scene):
    entries = await scene.app.manager.get_audit(OPERATOR, (await scene.sandbox("red")).id)
    return [(entry.actor_id, entry.details) for entry in entries if entry.event_type == "guild_unregistered"]


def asked(discord, guild, status=None):
    path = f"/guilds/{guild.id}/members/"
    return sum(path in at and status in (None, answer) for _, at, answer in discord.requests)


async def until_asked(scene, more=3):
    before = asked(scene.discord, scene.lab)

    async def enough():
        return asked(scene.discord, scene.lab) >= before + more

    await scene.until(enough)


async def test_who_leaves_a_server_gets_no_more_of_it_within_a_second(bound):
    bound.lab.remove_member(bound.bob)
    await bound.until(lambda: is_unbound(bound), 1)
    await bound.ada.send(bound.lab.general, "among ourselves")
    stored = [json.loads(data)["d"].get("content") for _, data, _ in await bound.stored(await bound.sandbox("red"))]
    assert "among ourselves" not in stored
    message = await bound.bob.wait_for_dm(lambda message: message in told(bound.bob))
    assert "**Ada's Lab**" in message.embeds[0]["description"]
    assert message.components == []
    ((actor, details),) = await unbindings(bound)
    assert (actor, details["binder_id"]) == (None, str(bound.bob.id))
    assert told(bound.ada) == told(bound.discord.owner) == []


async def test_who_loses_manage_server_gets_no_more_of_it_within_a_second(bound):
    bound.lab.add_member(bound.bob)
    await bound.until(lambda: is_unbound(bound), 1)


async def test_a_role_that_loses_manage_server_takes_the_binding_also_where_discord_tells_of_no_members(open_scene):
    async with open_scene() as scene:
        await bind(scene)
        (role,) = scene.lab.members[scene.bob.id].roles
        scene.lab.edit_role(role, ["manage_messages"])
        await scene.until(lambda: is_unbound(scene), 1)


async def test_another_owner_of_the_server_takes_the_binding_of_the_one_before(open_scene):
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="red", bind_here=True)
        scene.lab.owner = scene.bob
        scene.lab.rename("Bob's Lab")
        await scene.until(lambda: is_unbound(scene), 1)


async def test_what_others_do_asks_discord_nothing(bound):
    bound.lab.add_member(bound.ada)
    bound.lab.add_member(bound.bob, manage_guild=True)

    async def is_asked():
        return asked(bound.discord, bound.lab) > 0

    await bound.until(is_asked)
    before = asked(bound.discord, bound.lab)
    for _ in range(20):
        bound.lab.add_member(bound.ada)
    bound.app.binding_rights._quiet_until.clear()
    await bound.app.binding_rights.check()
    assert asked(bound.discord, bound.lab) == before
    assert not await is_unbound(bound)


async def test_who_has_the_right_again_by_the_time_of_the_look_keeps_the_binding(bound):
    bound.lab.remove_member(bound.bob)
    bound.lab.add_member(bound.bob, manage_guild=True)

    async def is_asked():
        return asked(bound.discord, bound.lab, 200) > 0

    await bound.until(is_asked)
    assert not await is_unbound(bound)


async def test_who_has_left_is_found_by_the_hourly_look_of_which_others_see_nothing(untold):
    await until_asked(untold)
    assert not await is_unbound(untold)
    untold.lab.remove_member(untold.bob)
    await untold.until(lambda: is_unbound(untold))
    await untold.bob.wait_for_dm(lambda message: message in told(untold.bob))
    before = asked(untold.discord, untold.lab)
    await untold.app.binding_rights.check()
    assert asked(untold.discord, untold.lab) == before


async def test_an_hour_brings_one_request_for_a_binding_also_over_a_start(open_scene, often, settings_of, monkeypatch):
    async with open_scene() as scene:
        await bind(scene)
        monkeypatch.setattr(constants, "BINDING_CHECK_EVERY", timedelta(hours=1))
        await scene.app.stores.pool.execute("UPDATE sandbox_guild_mapping SET created_at = now() - interval '2 hours'")

        async def is_planned():
            plan = "SELECT next_at > now() + interval '50 min' FROM sandbox_binding_checks"
            return await scene.app.stores.pool.fetchval(plan)

        await scene.until(is_planned)
        before = asked(scene.discord, scene.lab)
        scene.app.stop.set()
        await scene.discord.wait_until_gone()
        async with open_app(settings_of(scene.discord)) as app, running(app, scene.discord):
            await app.binding_rights.check()
        assert asked(scene.discord, scene.lab) == before


@pytest.mark.parametrize("status", [500, 503, 404, 403])
async def test_no_answer_but_discords_own_takes_a_binding(untold, status):
    untold.discord.set_failing("/members/", status)
    untold.lab.remove_member(untold.bob)
    await until_asked(untold)
    assert not await is_unbound(untold)
    untold.discord.set_failing("/members/", None)
    await untold.until(lambda: is_unbound(untold))


async def test_a_rate_limit_takes_no_binding(untold):
    for _ in range(3):
        untold.discord.rate_limit_next("/members/", 0.3)
    untold.lab.remove_member(untold.bob)

    async def is_limited():
        return asked(untold.discord, untold.lab, 429) == 3

    await untold.until(is_limited)
    assert not await is_unbound(untold)
    await untold.until(lambda: is_unbound(untold))


async def test_an_outage_of_the_server_takes_no_binding(untold):
    await untold.app.bot.wait_until_ready()
    untold.lab.set_unavailable(True)
    untold.lab.remove_member(untold.bob)

    async def is_known():
        return untold.app.bot.get_guild(untold.lab.id).unavailable

    await untold.until(is_known)
    before = asked(untold.discord, untold.lab)
    await untold.app.binding_rights.check()
    assert asked(untold.discord, untold.lab) <= before + 1  # one may have been on its way
    assert not await is_unbound(untold)
    untold.lab.set_unavailable(False)
    await untold.until(lambda: is_unbound(untold))


async def test_whoever_manages_a_server_unbinds_and_binds_it_and_the_owner_hears_of_it(bound):
    answer = await bound.ada.command("sandbox unbind-guild", channel=bound.lab.general)
    assert "Ada's Lab" in text(answer)
    assert "red" not in text(answer)
    assert await is_unbound(bound)
    ((actor, details),) = await unbindings(bound)
    assert (actor, details["guild_id"]) == (bound.ada.id, str(bound.lab.id))
    message = await bound.bob.wait_for_dm(lambda message: message in told(bound.bob))
    assert f"<@{bound.ada.id}>" in message.embeds[0]["description"]
    await bound.ada.command("sandbox create", channel=bound.lab.general, name="blue", bind_here=True)
    assert (await bound.sandbox("blue")).guild_ids == (bound.lab.id,)


async def test_nobody_else_unbinds_it_and_nobody_unbinds_it_from_elsewhere(bound):
    eve = bound.discord.add_person("eve")
    bound.lab.add_member(eve)
    bound.arcade.add_member(eve, manage_guild=True)
    for person, place in ((eve, bound.lab), (eve, bound.arcade), (bound.ada, bound.lobby)):
        bound.lobby.add_member(person)
        answer = await person.command("sandbox unbind-guild", channel=place.general, guild=str(bound.lab.id))
        assert "SANDBOX_009" in text(answer)
        assert "red" not in text(answer)
    assert not await is_unbound(bound)


async def test_who_has_lost_the_right_cannot_bind_it_again(bound):
    bound.lab.add_member(bound.bob)
    await bound.until(lambda: is_unbound(bound))
    answer = await bound.bob.command("sandbox bind-guild", channel=bound.lab.general, sandbox="red")
    assert "SANDBOX_009" in text(answer)
    bound.lab.add_member(bound.bob, manage_guild=True)
    await bound.bob.command("sandbox bind-guild", channel=bound.lab.general, sandbox="red")
    assert not await is_unbound(bound)


async def test_bindings_of_the_operator_and_of_admins_stay(untold):
    red, owner = await untold.sandbox("red"), untold.discord.owner
    await untold.app.manager.register_guild(OPERATOR, red.id, untold.arcade.id)
    await untold.app.manager.register_guild(untold.app.bot.actor(owner), red.id, untold.lobby.id)
    untold.lobby.owner = untold.ada
    untold.lobby.rename("Ada's Lobby")
    untold.lobby.remove_member(owner)
    await until_asked(untold)
    untold.lab.remove_member(untold.bob)

    async def lab_is_unbound():
        return untold.lab.id not in (await untold.sandbox("red")).guild_ids

    await untold.until(lab_is_unbound)
    assert set((await untold.sandbox("red")).guild_ids) == {untold.arcade.id, untold.lobby.id}


async def test_a_binding_that_is_somebody_elses_by_the_time_of_the_answer_stays(bound):
    (binding,) = await bound.app.manager.bindings.list_of([bound.lab.id])
    await bound.ada.command("sandbox unbind-guild", channel=bound.lab.general)
    red = await bound.sandbox("red")
    await bound.app.manager.register_guild(OPERATOR, red.id, bound.lab.id)
    assert not await bound.app.manager.bindings.revoke(binding, None)
    assert not await is_unbound(bound)


@asynccontextmanager
async def shard(discord, settings, number):
    """A bot that runs this one of two shards."""
    async with open_app(settings) as app:
        task = asyncio.create_task(app.run())
        async with asyncio.timeout(10):
            while not any(session.is_ready for session in discord.gateway.live(number)):
                await asyncio.sleep(0.02)
        yield app
        app.stop.set()
        await task


async def test_of_two_processes_each_looks_at_the_servers_on_its_shard(often, settings_of, nats_client, redis_client):
    async with LocalDiscord(shards=2) as discord:
        ada, bob = discord.add_person("ada"), discord.add_person("bob")
        guilds = [discord.add_guild(f"Guild {number}", owner=ada) for number in range(2)]

        async def bound_guilds():
            return set((await first.manager.get_by_name("red")).guild_ids)

        async def until_bound(*expected):
            async with asyncio.timeout(10):
                while await bound_guilds() != {guild.id for guild in expected}:
                    await asyncio.sleep(0.02)

        async with shard(discord, settings_of(discord, shard_count=2, shard_ids=[0]), 0) as first:
            ids = [guild.id for guild in guilds]
            await first.manager.create(Actor(bob.id, "bob"), name="red", guild_ids=ids)
            await until_bound(guilds[1])
            assert await first.manager.bindings.list_due(2, [0]) == []
            assert asked(discord, guilds[1]) == 0
            async with shard(discord, settings_of(discord, shard_count=2, shard_ids=[1]), 1):
                await until_bound()
