"""A running bot keeps a developer's scripts from stopping Valkey for all."""

from __future__ import annotations

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError, ResponseError

from tests.e2e.conftest import environment_in, text, title


async def test_an_endless_script_is_ended_and_its_owner_told(open_scene):
    async with open_scene(redis={"databases": range(300, 310), "scripts": True}) as scene:
        ada, here = scene.ada, scene.lab.general
        await ada.command("sandbox create", channel=here, name="blue")
        environment = environment_in(await ada.command("sandbox connect", channel=here, sandbox="blue"))
        sandbox = await scene.sandbox("blue")
        assert environment["SANDBOX_REDIS_URL"].endswith(f"/{sandbox.redis_database}")
        async with redis.asyncio.from_url(environment["SANDBOX_REDIS_URL"], retry=None) as client:
            await client.set("key", 1)
            with pytest.raises(ResponseError, match="killed"):
                await client.eval("while true do end", 0)
            notice = await ada.wait_for_dm(lambda message: "no more scripts" in title(message), timeout=10)
            assert "“blue” ran a script that did not end" in notice.embeds[0]["description"]
            with pytest.raises(NoPermissionError):
                await client.eval("return 1", 0)
            assert await client.get("key") == b"1"
        status = text(await ada.command("sandbox status", channel=here, sandbox="blue"))
        assert f"1 key, in database {sandbox.redis_database}" in status
        audited = text(await ada.command("sandbox audit", channel=here, sandbox="blue"))
        assert "scripts_withdrawn" in audited
