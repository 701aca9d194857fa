"""A bot whose database goes back to a backup under it: whom it tells, what it refuses, and how it goes on."""

from datetime import UTC, datetime, timedelta

import pytest

from bot import constants
from bot.control_plane import make_restore_settlement
from bot.sandboxes.model import OPERATOR
from bot.stores.last_changes import LastChange
from tests.e2e.conftest import environment_in, text
from tests.e2e.readiness import LISTENS, watching

pytestmark = pytest.mark.long


async def test_a_bot_whose_database_goes_back_says_so_and_goes_on_once_that_is_settled(open_scene, monkeypatch):
    monkeypatch.setattr(constants, "RESTORES_LOOKED_FOR_EVERY_S", 0.1)
    monkeypatch.setattr(constants, "RESTORES_TOLD_EVERY", timedelta(seconds=0.1))
    async with open_scene(health=LISTENS) as scene, watching(scene.app.health.address) as watch:
        await watch.until_ready()
        here, owner, app = scene.lab.general, scene.discord.owner, scene.app
        await scene.ada.command("sandbox create", channel=here, name="blue", bind_here=True)
        environment_in(await scene.ada.command("sandbox connect", channel=here, sandbox="blue"))
        blue = await scene.sandbox("blue")

        comparison = app.restores._comparison
        known = await comparison.read_known()
        await comparison.copies.write(known.installation, LastChange(known.newest.id + 1, datetime.now(UTC)))
        await watch.until_wrong("part restores")
        assert "settle-restore" in (await watch.wrong())["part restores"]
        await owner.wait_for_dm(lambda message: "was restored from a backup" in message.content)
        assert "SANDBOX_011" in text(await scene.ada.command("sandbox create", channel=here, name="red"))
        assert "settle-restore" in text(await scene.ada.command("sandbox status", channel=here, sandbox="blue"))
        before = (await scene.jetstream.stream_info(blue.stream)).state.messages
        await scene.ada.say(here, "still there?")

        async def is_routed():
            return (await scene.jetstream.stream_info(blue.stream)).state.messages > before

        await scene.until(is_routed)
        await make_restore_settlement(app.settings, app.stores, app.manager.access).settle(OPERATOR)
        await owner.wait_for_dm(lambda message: "is settled" in message.content)
        await watch.until_ready()
        again = await scene.ada.command("sandbox connect", channel=here, sandbox="blue")
        pressed = await scene.ada.click(again.message, "New credentials")
        await pressed.wait_for(lambda reply: reply.message is not None and reply.message.attachments)
        assert [entry.event_type for entry in await app.manager.get_audit(OPERATOR, blue.id)][:2] == [
            "credentials_issued",
            "restore_settled",
        ]
