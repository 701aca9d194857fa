from collections import Counter
from datetime import timedelta

import pytest

from bot.app import open_app
from bot.sandboxes.model import SandboxStatus
from tests.e2e.conftest import running, text, title

SECOND = timedelta(seconds=1)


def titles(person):
    return Counter(title(message) for message in person.inbox)


BOTH_ONCE = {"A sandbox is about to expire": 1, "A sandbox has expired": 1}


async def test_owner_and_admin_hear_once_of_each_and_then_everything_is_gone(open_scene):
    async with open_scene(sandboxes={"grace": SECOND}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="2s", bind_here=True)
        sandbox = await scene.sandbox("brief")

        async def gone():
            return (await scene.app.manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED

        await scene.until(gone)
        assert titles(scene.ada) == titles(scene.discord.owner) == BOTH_ONCE
        assert "Your sandbox “brief”" in scene.ada.inbox[0].embeds[0]["description"]
        assert scene.ada.mention in scene.discord.owner.inbox[0].embeds[0]["description"]
        assert not await scene.app.manager.schemas.schema_exists(sandbox.id)


@pytest.mark.long
async def test_a_restart_between_the_notices_neither_doubles_nor_loses_one(open_scene, settings_of, discord):
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="4s")
        for person in (scene.ada, discord.owner):
            await person.wait_for_dm(lambda message: "about to expire" in title(message), timeout=10)
    async with open_app(settings_of(discord)) as app, running(app, discord):
        for person in (scene.ada, discord.owner):
            await person.wait_for_dm(lambda message: "has expired" in title(message), timeout=10)
    async with open_app(settings_of(discord)) as app, running(app, discord):
        for _ in range(2):
            await app.reaper.sweep()
            await app.notices.dispatch(app.bot.admins)
    assert titles(scene.ada) == titles(discord.owner) == BOTH_ONCE


async def test_the_button_of_a_notice_extends_even_after_a_restart_of_the_bot(open_scene, settings_of, discord):
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="1s")
        notice = await scene.ada.wait_for_dm(lambda message: "has expired" in title(message), timeout=10)
    async with open_app(settings_of(discord)) as app, running(app, discord):
        reply = await scene.ada.click(notice, "Extend by 1d")
        assert "lives longer" in text(reply)
        sandbox = await app.manager.get_by_name("brief")
        assert sandbox.status is SandboxStatus.RUNNING


async def test_somebody_elses_button_extends_nothing(open_scene):
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="1s")
        notice = await scene.ada.wait_for_dm(lambda message: "has expired" in title(message), timeout=10)
        reply = await scene.bob.click(notice, "Extend by 1d", force=True)
        assert "SANDBOX_004" in text(reply)
        assert "brief" not in text(reply)


async def test_a_notice_that_was_sent_but_not_recorded_is_not_sent_again(open_scene, settings_of, discord):
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="1s")
        await scene.ada.wait_for_dm(lambda message: "has expired" in title(message), timeout=10)

        async def settled():
            query = "SELECT count(*) FROM sandbox_notice_deliveries WHERE settled_at IS NULL"
            return await scene.app.stores.pool.fetchval(query) == 0

        await scene.until(settled)
        await scene.app.stores.pool.execute(
            "UPDATE sandbox_notice_deliveries SET settled_at = NULL, outcome = NULL, next_attempt_at = now()"
        )
        await scene.until(settled)
        assert titles(scene.ada) == BOTH_ONCE


async def test_closed_direct_messages_fall_back_to_the_channel(open_scene, discord):
    staff = discord.add_guild("Staff", owner=discord.owner)
    async with open_scene(notice_channel=staff.general.id) as scene:
        scene.ada.dms_closed = True
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="1s")

        async def told():
            written = [message.content for message in staff.general.messages.values()]
            return written.count(scene.ada.mention) == 2

        await scene.until(told)
        assert scene.ada.inbox == []


async def test_closed_direct_messages_without_a_channel_stand_in_the_audit_log(open_scene):
    async with open_scene() as scene:
        scene.ada.dms_closed = True
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="1s")
        sandbox = await scene.sandbox("brief")

        async def audited():
            query = "SELECT count(*) FROM sandbox_audit_log WHERE sandbox_id = $1 AND event_type = 'notice_undelivered'"
            return await scene.app.stores.pool.fetchval(query, sandbox.id) == 2

        await scene.until(audited)
