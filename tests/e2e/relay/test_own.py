"""What names only the sandbox's own goes through, as Discord takes it."""

from __future__ import annotations

import aiohttp


async def test_files_forwards_threads_and_moves_within_ones_own_server_are_discords_affair(scene, adas):
    path = f"/channels/{scene.lab.general.id}/messages"
    form = aiohttp.FormData()
    form.add_field("payload_json", '{"content": "with a file"}', content_type="application/json")
    form.add_field("files[0]", b"the file", filename="ä b.txt", content_type="text/plain")
    async with adas.session.post(adas.base + path, data=form) as response:
        written = await response.json()
        assert (response.status, written["attachments"][0]["size"]) == (200, 8)
    reference = {"type": 1, "message_id": written["id"], "channel_id": str(scene.lab.general.id)}
    forward = await adas("POST", path, {"message_reference": reference})
    assert forward["message_snapshots"][0]["message"]["content"] == "with a file"
    urlencoded = {"payload_json": '{"content": "as py-cord does"}'}
    async with adas.session.post(adas.base + path, data=urlencoded) as response:
        assert (await response.json())["content"] == "as py-cord does"
    thread = await adas("POST", f"{path}/{written['id']}/threads", {"name": "about it"}, status=201)
    made = await adas("POST", f"/channels/{scene.lab.general.id}/webhooks", {"name": "news"})
    address = f"/webhooks/{made['id']}/{made['token']}?wait=true&thread_id={thread['id']}"
    assert (await adas("POST", address, {"content": "in the thread"}))["channel_id"] == thread["id"]
    more = [await adas("POST", f"/guilds/{scene.lab.id}/channels", {"name": f"c{n}"}, status=201) for n in range(3)]
    asked = len(scene.discord.requests)
    moved = [{"id": each["id"], "position": 3 - number} for number, each in enumerate(more)]
    await adas("PATCH", f"/guilds/{scene.lab.id}/channels", moved, status=204)
    assert len(scene.discord.requests) == asked + 2  # their server's list, and the change itself
