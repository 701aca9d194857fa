"""An independent battery: what a worker, a member or a developer tries in Discord on others and on the bot."""

from __future__ import annotations

import asyncio
import base64
import re
import unicodedata
import uuid
from contextlib import AsyncExitStack

import aiohttp
import pytest
from pydantic import SecretStr

from bot.app import open_app
from bot.errors import SandboxError
from bot.sandboxes.model import Actor, SandboxStatus
from bot.settings import Discord, Log, Sandboxes, Settings
from local_discord import LocalDiscord
from tests.conftest import TEMPLATE, address, create_database, drop_database, store_settings
from tests.e2e.conftest import TICK, Scene, running, text

pytestmark = pytest.mark.long

SIGNATURE = base64.urlsafe_b64encode(bytes(12)).decode()


@pytest.fixture(scope="module")
async def stage(stores):
    """Bob's `red` holds Ada's Lab, where Ada and the admin are too; `blue` is Ada's. One bot for all tries."""
    name = f"battery_{uuid.uuid4().hex[:8]}"
    await create_database(stores, name, TEMPLATE)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(drop_database, stores, name)
        discord = await stack.enter_async_context(LocalDiscord())
        ada, bob = discord.add_person("ada"), discord.add_person("bob")
        lab, arcade = discord.add_guild("Ada's Lab", owner=ada), discord.add_guild("Bob's Arcade", owner=bob)
        lobby = discord.add_guild("Lobby", owner=discord.owner)
        lab.add_member(bob, manage_guild=True)
        lab.add_member(discord.owner, manage_guild=True)
        arcade.add_member(ada)
        settings = Settings(
            discord=Discord(token=SecretStr(discord.token), api_base=discord.api_base),
            sandboxes=Sandboxes(sweep_every=TICK, max_per_owner=50),
            **store_settings(stores, address(stores, name)),
            log=Log(),
        )
        app = await stack.enter_async_context(open_app(settings))
        await stack.enter_async_context(running(app, discord))
        scene = Scene(discord, app, ada, bob, lab, arcade, lobby)
        await bob.command("sandbox create", channel=lab.general, name="red", bind_here=True)
        await ada.command("sandbox create", channel=lab.general, name="blue")
        yield scene
        for sandbox in await app.manager.list():
            if sandbox.status is not SandboxStatus.DESTROYED:
                await app.manager.destroy(Actor(sandbox.owner_id, "owner"), sandbox.id)


async def post(stage, data):
    """What Bob's worker says in the bot's name, in answer to a command of its own."""
    reply = await stage.bob.use_foreign_command("play", channel=stage.lab.general)
    url = f"{stage.discord.api_base}/interactions/{reply.interaction_id}/{reply.token}/callback"
    async with aiohttp.ClientSession() as session, session.post(url, json={"type": 4, "data": data}) as response:
        assert response.status == 204, await response.text()
    return reply.message


def shape(sandbox):
    return sandbox.status, sandbox.expires_at, sandbox.owner_id


IDS = {
    "nothing but the prefix": "sbx:",
    "no action": "sbx:v2:::",
    "an action of its own": "sbx:v2:drop:0:x:{signature}",
    "the first version": "sbx:v1:destroy:{hex}:{asker}",
    "the first version, of an admin": "sbx:v1:orphans:{asker}",
    "the first version, to extend": "sbx:v1:extend:{hex}:86400",
    "a version to come": "sbx:v3:destroy:{asker}:{reference}:{signature}",
    "no signature": "sbx:v2:destroy:{asker}:{reference}:",
    "a signature of zeros": "sbx:v2:destroy:{asker}:{reference}:{signature}",
    "a signature that is shorter": "sbx:v2:destroy:{asker}:{reference}:AAAA",
    "a signature of other letters": "sbx:v2:destroy:{asker}:{reference}:++++////++++////",
    "for anybody": "sbx:v2:destroy:0:{reference}:{signature}",
    "another sandbox's short id": "sbx:v2:destroy:{asker}:{short}:{signature}",
    "a negative reference": "sbx:v2:extend:0:-1:60:{signature}",
    "a long reference": "sbx:v2:extend:0:99999999999999999999:60:{signature}",
    "digits of another script": "sbx:v2:extend:0:\u0661:60:{signature}",
    "the prefix in capitals": "SBX:v2:destroy:{asker}:{reference}:{signature}",
    "the prefix in another script": "\u0455bx:v2:destroy:{asker}:{reference}:{signature}",
    "a blank before": " sbx:v2:destroy:{asker}:{reference}:{signature}",
    "a line's end": "sbx:v2:destroy:{asker}:{reference}:{signature}\n",
    "a NUL": "sbx:v2:destroy\u0000:{asker}:{reference}:{signature}",
    "half an emoji": "sbx:v2:destroy:{asker}:{reference}:\ud83d",
    "many colons": "sbx:v2:" + ":" * 80,
    "a hundred characters": "sbx:v2:page:0:" + "9" * 86,
}


@pytest.mark.parametrize("kind", ["button", "menu"])
@pytest.mark.parametrize("name", IDS)
async def test_a_press_on_a_workers_component_is_its_own_business(stage, name, kind):
    blue = await stage.sandbox("blue")
    admin = stage.discord.owner
    known = {
        "hex": blue.id.hex,
        "asker": admin.id,
        "reference": blue.reference,
        "short": blue.short_id,
        "signature": SIGNATURE,
    }
    custom_id = IDS[name].format(**known)
    own_before = stage.app.router.counts["own interactions"]
    component = {"type": 2, "style": 1, "label": "0", "custom_id": custom_id}
    if kind == "menu":
        component = {"type": 3, "custom_id": custom_id, "options": [{"label": "0", "value": "0"}]}
    message = await post(stage, {"content": "cookies"})
    message.components = [{"type": 1, "components": [component]}]  # whatever Discord would have taken
    stage.discord.world.interactions.use_component(
        admin, message, {"custom_id": custom_id, "component_type": component["type"]}
    )
    await stage.discord.gateway.flush()
    await stage.app.publisher.drain(5)
    assert stage.app.router.counts["own interactions"] == own_before
    assert shape(await stage.sandbox("blue")) == shape(blue)
    assert (message.content, message.embeds) == ("cookies", [])


TEXTS = {
    "a mention of all": "@everyone",
    "a mention of a role": "<@&1>",
    "a link that hides": "[your sandbox](https://evil.example)",
    "a code block's end": "``` x ```",
    "bold": "**bold** __under__ ~~struck~~ ||hidden||",
    "a heading": "# A heading",
    "a quotation": "> said",
    "a line's end": "one\ntwo",
    "a carriage return": "one\rtwo",
    "an escape sequence": "\x1b[2J\x1b[31m",
    "a C1 control": "\x9b31m",
    "a bidirectional override": "\u202etxt.exe",
    "an isolate": "\u2066x\u2069",
    "zero width": "a\u200bb\ufeffc",
    "a tag character": "x\U000e0041",
    "a DEL": "x\x7f",
    "a time": "<t:0:R>",
    "a command": "</sandbox destroy:1>",
    "an emoji of another server": "<a:x:1>",
}
ACTIVE = re.compile(r"(?<!\\)\[[^\]]*\]\(http|\*\*bold|\|\|hidden|~~struck|(?m:^# A)")


def is_plain(shown):
    """No character in it that moves or hides others, and none of what Discord would format."""
    hidden = [one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Cs") and one != "\n"]
    return not hidden and not ACTIVE.search(shown)


async def said_to_an_admin(stage, command, **options):
    reply = await stage.discord.owner.command(command, channel=stage.lab.general, **options)
    assert reply.message.ephemeral
    return text(reply)


@pytest.mark.parametrize("name", TEXTS)
async def test_text_of_one_person_does_nothing_on_anothers_screen(stage, name):
    """In the description and in a tag, if that is taken."""
    owner, written = Actor(stage.bob.id, "bob"), TEXTS[name]
    try:
        sandbox = await stage.app.manager.create(owner, description=written, metadata={"tags": {"t": written}})
    except SandboxError:
        sandbox = await stage.app.manager.create(owner, description=written)
    try:
        for command, options in (("sandbox-admin list", {}), ("sandbox status", {"sandbox": sandbox.name})):
            shown = await said_to_an_admin(stage, command, **options)
            assert is_plain(shown), ascii(shown)
    finally:
        await stage.app.manager.destroy(owner, sandbox.id)


COMMANDS = {
    "sandbox status": {},
    "sandbox audit": {},
    "sandbox connect": {},
    "sandbox extend": {"by": "1d"},
    "sandbox reset": {},
    "sandbox destroy": {},
    "sandbox bind-guild": {},
}


@pytest.mark.parametrize("wanted", ["name", "short id", "whole id", "name in capitals", "digits without dashes"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_anothers_sandbox_is_neither_touched_nor_told_of(stage, command, wanted):
    """The answer is the one that is given for what doesn't exist, but for what was asked."""
    blue = await stage.sandbox("blue")
    whole = str(blue.id)
    asked, nobody = {
        "name": ("blue", "grey"),
        "short id": (blue.short_id, "0" * 8),
        "whole id": (whole, str(uuid.UUID(int=1))),
        "name in capitals": ("BLUE", "GREY"),
        "digits without dashes": (blue.id.hex, uuid.UUID(int=1).hex),
    }[wanted]
    options = COMMANDS[command]
    found = text(await stage.bob.command(command, channel=stage.lab.general, sandbox=asked, **options))
    missing = text(await stage.bob.command(command, channel=stage.lab.general, sandbox=nobody, **options))
    assert found.lower().replace(asked.lower(), "?") == missing.lower().replace(nobody.lower(), "?")
    assert shape(await stage.sandbox("blue")) == shape(blue)


@pytest.mark.parametrize("command", COMMANDS)
async def test_no_suggestion_names_anothers_sandbox(stage, command):
    for typed in ("", "b", "blue", (await stage.sandbox("blue")).short_id):
        options = COMMANDS[command] | {"sandbox": typed}
        found = await stage.bob.autocomplete(command, channel=stage.lab.general, focused="sandbox", **options)
        assert "blue" not in str(found)


@pytest.mark.parametrize("command", ["sandbox-admin list", "sandbox-admin orphans", "sandbox-admin sweep"])
async def test_who_is_no_admin_is_refused(stage, command):
    before = stage.app.router.counts["own interactions"]
    reply = await stage.bob.command(command, channel=stage.lab.general)
    assert "blue" not in text(reply)
    assert not reply.message.components
    assert stage.app.router.counts["own interactions"] == before + 1


@pytest.mark.parametrize("rounds", range(3))
async def test_of_two_that_bind_a_server_at_once_one_has_it(stage, rounds):
    manager, guild = stage.app.manager, stage.arcade
    ada, bob = Actor(stage.ada.id, "ada"), Actor(stage.bob.id, "bob")
    red, blue = await stage.sandbox("red"), await stage.sandbox("blue")
    tried = await asyncio.gather(
        *(
            manager.register_guild(actor, one.id, guild.id)
            for actor, one in ((ada, blue), (bob, red))
            for _ in range(3)
        ),
        return_exceptions=True,
    )
    owners = {one.id for one in (red, blue) if guild.id in (await manager.get_by_id(one.id)).guild_ids}
    assert len(owners) == 1
    assert all(isinstance(one, SandboxError) for one in tried if isinstance(one, BaseException))
    loser = ada if red.id in owners else bob
    with pytest.raises(SandboxError):
        await manager.register_guild(loser, blue.id if loser is ada else red.id, guild.id)
    await manager.unregister_guild(bob if loser is ada else ada, guild.id)


LOOKALIKES = {
    "an answer of the bot's": {"embeds": [{"title": "Sandbox “blue”", "description": "is destroyed"}]},
    "a file with credentials' name": {"content": "SANDBOX_ID=x", "flags": 64},
    "an answer to all": {"content": "@everyone", "allowed_mentions": {"parse": ["everyone"]}},
    "a notice": {"embeds": [{"title": "Your sandbox expires", "footer": {"text": "sandbox-bot"}}]},
}


@pytest.mark.parametrize("name", LOOKALIKES)
async def test_what_looks_like_the_bots_own_is_forwarded_as_its_workers(stage, name):
    """And changes nothing of what is really the bot's."""
    blue, own = await stage.sandbox("blue"), stage.app.router.counts["own interactions"]
    await post(stage, LOOKALIKES[name])
    await stage.app.publisher.drain(5)
    assert stage.app.router.counts["own interactions"] == own
    assert shape(await stage.sandbox("blue")) == shape(blue)
