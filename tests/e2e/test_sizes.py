"""A sandbox that fills the disk, as its developer hears of it."""

from __future__ import annotations

from bot.sandboxes.access.sizes import SizeMarks
from tests.e2e.conftest import text, title


async def test_a_large_sandbox_is_told_of_by_direct_message_and_in_its_status(open_scene):
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
        scene.app.manager.sizes.marks = SizeMarks(warned=0, most=0)
        await scene.app.manager.sizes.look()
        notice = await scene.ada.wait_for_dm(lambda message: title(message) == "A sandbox takes much of the disk", 10)
        assert "Your sandbox “blue” has become large in PostgreSQL. Above 4096 MB" in notice.embeds[0]["description"]
        assert notice.components == []
        status = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
        assert "so that its sessions are ended" in text(status)
