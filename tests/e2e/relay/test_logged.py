"""What the log says of a request, and what it never says."""

from __future__ import annotations

import json

import asyncpg
import nats
import pytest
from loguru import logger

from bot import log
from sandbox_worker import variables
from tests.e2e.conftest import environment_in
from tests.e2e.relay.raw_bot import RawBot

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def lines(monkeypatch):
    """All that is written, at the lowest level that there is; nothing is blotted out."""
    written: list[str] = []
    monkeypatch.setattr(log, "_write", written.append)
    log.configure("TRACE", json_lines=True)
    yield written
    logger.remove()


def facts(lines, message):
    """Of the last line that says so."""
    records = (json.loads(line)["record"] for line in reversed(lines))
    return next(record["extra"] for record in records if record["message"] == message)


def last_interaction(scene):
    (*_, text) = (sent.text for sent in scene.discord.dispatched if sent.event == "INTERACTION_CREATE")
    return json.loads(text)["d"]


async def test_each_line_says_for_whom_and_for_what(scene, adas, lines, monkeypatch):
    def ids(sandbox):
        asked = last_interaction(scene)
        user, guild = str(scene.ada.id), str(scene.lab.id)
        return {"interaction": asked["id"], "guild": guild, "user": user, "sandbox": str(sandbox.id)}

    def known(message):
        return {name: fact for name, fact in facts(lines, message).items() if name in ids(adas.sandbox)}

    here = scene.lab.general
    await scene.ada.command("sandbox create", channel=here, name="blue")
    blue = await scene.sandbox("blue")
    assert known("sandbox created") == ids(blue)

    async def broken(*_):
        raise RuntimeError("a bug")

    question = (await scene.ada.command("sandbox destroy", channel=here, sandbox="blue")).message
    monkeypatch.setattr(scene.app.manager, "destroy", broken)
    pressed = await scene.ada.click(question, "Destroy")
    await pressed.wait_for(lambda _: any("interaction failed" in line for line in lines))
    assert known("interaction failed") == ids(blue)

    scene.discord.refuse_next(f"/guilds/{scene.lab.id}/roles", 401)
    await adas("GET", f"/guilds/{scene.lab.id}/roles", status=503)
    assert known("the relay cannot answer") == {"sandbox": str(adas.sandbox.id), "guild": str(scene.lab.id)}


async def test_no_secret_that_was_given_or_handed_out_is_logged_at_any_level(scene, relayed, adas, lines):
    """By commands, buttons, the relay's gateway and HTTP API, and logins with what is right and what is not."""
    here = scene.lab.general
    await scene.ada.command("sandbox create", channel=here, name="blue")
    first = environment_in(await scene.ada.command("sandbox connect", channel=here, sandbox="blue", names="standard"))
    again = await scene.ada.command("sandbox connect", channel=here, sandbox="blue", names="standard")
    pressed = await scene.ada.click(again.message, "New credentials")
    await pressed.wait_for(lambda reply: reply.message is not None and reply.message.attachments)
    second = environment_in(pressed)
    await (await asyncpg.connect(second["SANDBOX_DATABASE_URL"])).close()
    await (await nats.connect(second["SANDBOX_NATS_URL"])).close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(first["SANDBOX_DATABASE_URL"])

    webhook = await adas("POST", f"/channels/{here.id}/webhooks", {"name": "news"})
    scene.discord.cut_next(f"/webhooks/{webhook['id']}")
    await adas("POST", f"/webhooks/{webhook['id']}/{webhook['token']}", {"content": "x"}, status=503)
    environment = await relayed.environment(adas.sandbox)
    async with RawBot(environment) as bot:
        await bot.identify()
        await bot.cut()
        await bot.resume()
        await bot.cut()
        bot.token = environment["SANDBOX_BOT_TOKEN"] + "x"
        await bot.connect()
        await bot.say_identify()
        await bot.until(lambda: bot.closed_with == 4004)

    handed = {adas.session.headers["Authorization"].removeprefix("Bot ")}
    handed |= {each[name] for each in (first, second, environment) for name in variables.SECRETS & each.keys()}
    tokens = [json.loads(sent.text)["d"]["token"] for sent in scene.discord.dispatched if '"token"' in sent.text]
    assert (len(handed), len(tokens)) == (10, 4)
    given = scene.app.settings.secrets()
    said = "".join(lines)
    assert "sandbox created" in said
    assert [
        secret for secret in {*given, *handed, *passwords(handed), *tokens, webhook["token"]} if secret in said
    ] == []


def passwords(addresses):
    return {address.partition("@")[0].rpartition(":")[2] for address in addresses if "@" in address}
