"""What admins are told beside any sandbox."""

from __future__ import annotations

import pytest

from bot.errors import ServiceUnavailable
from bot.ui.admin_messages import AdminMessages


async def test_each_admin_is_told_once_however_often_that_takes(open_scene, discord):
    eve = discord.add_person("eve")
    async with open_scene(admins=(discord.owner.id, eve.id)) as scene:
        messages = AdminMessages(scene.app.bot, channel_id=None)
        discord.set_failing(f"/users/{eve.id}", 503)
        with pytest.raises(ServiceUnavailable):
            await messages.tell("NATS was restarted")
        discord.set_failing(f"/users/{eve.id}", None)
        await messages.tell("NATS was restarted")
        assert [message.content for message in discord.owner.inbox] == ["NATS was restarted"]
        assert [message.content for message in eve.inbox] == ["NATS was restarted"]
        await messages.tell("NATS was restarted")  # another time
        assert len(eve.inbox) == 2


async def test_who_has_closed_direct_messages_is_told_in_the_channel(open_scene, discord):
    staff = discord.add_guild("Staff", owner=discord.owner)
    discord.owner.dms_closed = True
    async with open_scene() as scene:
        await AdminMessages(scene.app.bot, channel_id=None).tell("to nobody")
        await AdminMessages(scene.app.bot, channel_id=staff.general.id).tell("to the channel")
    (message,) = staff.general.messages.values()
    assert message.content == f"{discord.owner.mention} to the channel"
