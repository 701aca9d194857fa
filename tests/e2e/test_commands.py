import asyncio
import io
from datetime import timedelta

import asyncpg
import pytest
from dotenv import dotenv_values

from bot.sandboxes.model import SandboxStatus
from local_discord.errors import UsageError
from tests.conftest import until_blocked
from tests.e2e.conftest import environment_in, text, title
from tests.sessions import ENDED

HOUR = timedelta(hours=1)


async def test_a_sandbox_is_created_bound_listed_shown_extended_and_destroyed(scene):
    ada, here = scene.ada, scene.lab.general

    reply = await ada.command(
        "sandbox create", channel=here, name="blue", ttl="2h", description="login", bind_here=True
    )
    assert reply.message.ephemeral
    assert title(reply.message) == "Sandbox “blue” is running"
    assert "<t:" in text(reply)
    sandbox = await scene.sandbox("blue")
    assert (sandbox.owner_id, sandbox.guild_ids) == (ada.id, (scene.lab.id,))
    assert sandbox.expires_at - sandbox.created_at == 2 * HOUR

    assert "blue" in text(await ada.command("sandbox list", channel=here))
    status = text(await ada.command("sandbox status", channel=here, sandbox="blue"))
    assert "login" in status
    assert "3 tables" in status

    reply = await ada.command("sandbox extend", channel=here, sandbox="blue", by="3h")
    assert title(reply.message) == "Sandbox “blue” lives longer"
    assert (await scene.sandbox("blue")).expires_at == sandbox.expires_at + 3 * HOUR

    reply = await ada.command("sandbox unbind-guild", channel=here)
    assert "Ada's Lab" in text(reply)
    reply = await ada.command("sandbox bind-guild", channel=here, sandbox=sandbox.short_id)
    assert "Ada's Lab" in text(reply)

    question = (await ada.command("sandbox destroy", channel=here, sandbox="blue")).message
    assert (await scene.sandbox("blue")).status is SandboxStatus.RUNNING
    pressed = await ada.click(question, "Destroy")
    await pressed.wait_for(lambda _: title(question) == "Sandbox “blue” is destroyed", timeout=10)
    assert question.components == []
    assert (await scene.app.manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED


async def test_connect_gives_the_environment_as_text_and_as_a_file_and_no_credentials_of_the_bot(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    sandbox = await scene.sandbox("blue")
    reply = await scene.ada.command("sandbox connect", channel=None, sandbox="blue")

    (attachment,) = reply.message.attachments
    assert attachment.filename == "blue.env"
    environment = dotenv_values(stream=io.StringIO(attachment.content.decode()))
    urls = {name: environment.pop(name) for name in tuple(environment) if name.endswith("_URL")}
    assert set(urls) == {"SANDBOX_DATABASE_URL", "SANDBOX_REDIS_URL", "SANDBOX_NATS_URL"}
    assert f":{environment.pop('SANDBOX_NATS_PASSWORD')}@" in str(urls["SANDBOX_NATS_URL"])
    assert environment == {
        "SANDBOX_ID": str(sandbox.id),
        "SANDBOX_NAME": "blue",
        "SANDBOX_SCHEMA": sandbox.schema_name,
        "SANDBOX_REDIS_PREFIX": f"sandbox:{sandbox.id}:",
        "SANDBOX_NATS_PREFIX": f"sandbox.{sandbox.id}.",
        "SANDBOX_NATS_STREAM": sandbox.stream,
        "SANDBOX_GUILD_IDS": str(scene.lab.id),
        "SANDBOX_DISCORD_API": scene.discord.api_base,
        "SANDBOX_NATS_USER": str(sandbox.id),
    }
    lines = attachment.content.decode().splitlines()
    secret = ("_URL=", "_PASSWORD=")
    assert all((line in text(reply)) == (not any(part in line for part in secret)) for line in lines)
    for secret in scene.app.settings.secrets():
        assert secret not in text(reply) + attachment.content.decode()


async def test_credentials_are_shown_once_and_new_ones_end_the_old_ones_after_asking(scene):
    ada, here = scene.ada, scene.lab.general
    await ada.command("sandbox create", channel=here, name="blue")
    first = environment_in(await ada.command("sandbox connect", channel=here, sandbox="blue"))
    old = await asyncpg.connect(first["SANDBOX_DATABASE_URL"])
    await old.execute("INSERT INTO communities (guild_id, name) VALUES (1, 'here')")

    again = await ada.command("sandbox connect", channel=here, sandbox="blue")
    assert not [name for name in environment_in(again) if name.endswith("_URL")]
    assert await old.fetchval("SELECT count(*) FROM communities") == 1

    pressed = await ada.click(again.message, "New credentials")
    await pressed.wait_for(lambda reply: reply.message is not None and reply.message.attachments)
    second = environment_in(pressed)
    assert second["SANDBOX_DATABASE_URL"] != first["SANDBOX_DATABASE_URL"]
    with pytest.raises(ENDED):
        await old.fetchval("SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(first["SANDBOX_DATABASE_URL"])
    new = await asyncpg.connect(second["SANDBOX_DATABASE_URL"])
    assert await new.fetchval("SELECT name FROM communities") == "here"
    await new.close()


async def test_the_names_that_tools_look_for_are_handed_out_on_request_and_with_new_credentials_too(scene):
    ada, here = scene.ada, scene.lab.general
    await ada.command("sandbox create", channel=here, name="blue")
    first = await ada.command(
        "sandbox connect", channel=here, sandbox="blue", names="standard", database_url="postgresql+asyncpg"
    )
    told = environment_in(first)
    own = told["SANDBOX_DATABASE_URL"]
    assert told["DATABASE_URL"] == own.replace("postgresql:", "postgresql+asyncpg:")
    assert (told["REDIS_URL"], told["NATS_URL"]) == (told["SANDBOX_REDIS_URL"], told["SANDBOX_NATS_URL"])
    assert f"PGUSER={told['SANDBOX_SCHEMA']}" in text(first)
    assert told["PGPASSWORD"] not in text(first)

    again = await ada.command("sandbox connect", channel=here, sandbox="blue", names="standard")
    pressed = await ada.click(again.message, "New credentials")
    await pressed.wait_for(lambda reply: reply.message is not None and reply.message.attachments)
    second = environment_in(pressed)
    assert second["DATABASE_URL"] == second["SANDBOX_DATABASE_URL"] != own


async def test_nobody_else_gets_credentials(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")
    question = (await scene.ada.command("sandbox connect", channel=scene.lab.general, sandbox="blue")).message
    assert "SANDBOX_004" in text(await scene.bob.command("sandbox connect", channel=scene.lab.general, sandbox="blue"))
    assert "Only the one who was asked" in text(await scene.bob.click(question, "New credentials", force=True))


async def test_status_says_which_store_keeps_sandboxes_apart_by_itself(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    assert text(reply).count("isolation enforced") == 3


async def test_keeping_a_sandbox_leaves_it_as_it_is(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    question = (await scene.ada.command("sandbox destroy", channel=scene.lab.general, sandbox="blue")).message
    pressed = await scene.ada.click(question, "Keep it")
    await pressed.wait_for(lambda _: "stays" in question.embeds[0]["description"])
    assert (await scene.sandbox("blue")).status is SandboxStatus.RUNNING


async def test_a_sandbox_is_reset_by_its_asker_after_asking(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    sandbox, pool = await scene.sandbox("blue"), scene.app.stores.pool
    await pool.execute(f"INSERT INTO {sandbox.schema_name}.communities (guild_id, name) VALUES (1, 'a')")
    question = (await scene.ada.command("sandbox reset", channel=scene.lab.general, sandbox="blue")).message
    assert "Only the one who was asked" in text(await scene.bob.click(question, "Reset", force=True))
    assert await pool.fetchval(f"SELECT count(*) FROM {sandbox.schema_name}.communities") == 1
    pressed = await scene.ada.click(question, "Reset")
    await pressed.wait_for(lambda _: title(question) == "Sandbox “blue” is as when it was made", timeout=10)
    assert await pool.fetchval(f"SELECT count(*) FROM {sandbox.schema_name}.communities") == 0
    assert (await scene.sandbox("blue")).guild_ids == (scene.lab.id,)


async def test_only_the_asker_can_answer_destroy(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    question = (await scene.ada.command("sandbox destroy", channel=scene.lab.general, sandbox="blue")).message
    reply = await scene.bob.click(question, "Destroy", force=True)
    assert "Only the one who was asked" in text(reply)
    assert (await scene.sandbox("blue")).status is SandboxStatus.RUNNING


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("status", {}),
        ("connect", {}),
        ("extend", {"by": "1h"}),
        ("bind-guild", {}),
        ("reset", {}),
        ("destroy", {}),
    ],
)
async def test_a_stranger_is_refused_with_a_sentence(scene, command, options):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    reply = await scene.bob.command(f"sandbox {command}", channel=scene.arcade.general, sandbox="blue", **options)
    assert reply.message.ephemeral
    nothing = await scene.bob.command(f"sandbox {command}", channel=scene.arcade.general, sandbox="gone", **options)
    assert text(reply) == text(nothing).replace("gone", "blue")
    by_id = await scene.bob.command(
        f"sandbox {command}", channel=scene.arcade.general, sandbox=(await scene.sandbox("blue")).short_id, **options
    )
    assert "blue" not in text(by_id)
    assert "SANDBOX_004" in text(by_id)


TYPED = {"long": "x" * 5_900, "NUL": "a\x00b", "half of a pair": "a\ud800b", "C1 and bidi": "\x9b2J\u202e"}


@pytest.mark.parametrize("wanted", TYPED.values(), ids=TYPED)
async def test_whatever_is_typed_is_answered_with_a_sentence(scene, wanted):
    for command in ("status", "connect", "audit"):
        reply = await scene.ada.command(f"sandbox {command}", channel=scene.lab.general, sandbox=wanted)
        assert "There is no sandbox" in text(reply)
        assert "SANDBOX_004" in text(reply)
    for option in ({"by": wanted}, {"sandbox": "blue", "by": wanted}):
        reply = await scene.ada.command("sandbox extend", channel=scene.lab.general, **{"sandbox": "x", **option})
        assert "SANDBOX_0" in text(reply)
    assert (
        await scene.ada.autocomplete("sandbox status", channel=scene.lab.general, focused="sandbox", sandbox=wanted)
        == []
    )
    reply = await scene.ada.command(
        "sandbox create", channel=scene.lab.general, name="fine", description=f"a{wanted[:50]}"
    )
    assert title(reply.message) == "Sandbox “fine” is running"


async def test_the_applications_owner_is_an_admin_if_none_is_named(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    reply = await scene.discord.owner.command("sandbox extend", channel=scene.lobby.general, sandbox="blue", by="1h")
    assert title(reply.message) == "Sandbox “blue” lives longer"


async def test_the_applications_team_are_admins_but_not_who_is_only_invited(open_scene, discord):
    carol, dave = discord.add_person("carol"), discord.add_person("dave")
    discord.add_to_team(carol)
    discord.add_to_team(dave, accepted=False)
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
        reply = await carol.command("sandbox extend", channel=None, sandbox="blue", by="1h")
        assert title(reply.message) == "Sandbox “blue” lives longer"
        for person in (dave, discord.owner):
            reply = await person.command("sandbox extend", channel=None, sandbox="blue", by="1h")
            assert "SANDBOX_004" in text(reply)


async def test_named_admins_replace_the_applications_owner(open_scene, discord):
    async with open_scene(admins=frozenset({10**17})) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
        reply = await discord.owner.command("sandbox status", channel=scene.lobby.general, sandbox="blue")
        assert "SANDBOX_004" in text(reply)


async def test_only_who_manages_a_server_binds_it(scene):
    await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red")
    for attempt in (
        scene.bob.command("sandbox bind-guild", channel=scene.lab.general, sandbox="red"),
        scene.bob.command("sandbox bind-guild", channel=scene.arcade.general, sandbox="red", guild=str(scene.lab.id)),
        scene.bob.command("sandbox create", channel=scene.lab.general, bind_here=True),
    ):
        reply = await attempt
        assert "Manage Server" in text(reply)
    assert (await scene.sandbox("red")).guild_ids == ()

    scene.lab.add_member(scene.bob, manage_guild=True)
    reply = await scene.bob.command(
        "sandbox bind-guild", channel=scene.arcade.general, sandbox="red", guild=str(scene.lab.id)
    )
    assert "Ada's Lab" in text(reply)


async def test_a_server_without_the_bot_is_not_bound(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    reply = await scene.ada.command("sandbox bind-guild", channel=scene.lab.general, sandbox="blue", guild="1" * 18)
    assert "not in server" in text(reply)


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("create", {"name": "ab"}, "3 to 40 characters"),
        ("create", {"name": "$(touch x)"}, "3 to 40 characters"),
        ("create", {"ttl": "never"}, "not a duration"),
        ("create", {"ttl": "9999h"}, "at most 7d"),
        ("create", {"bind_here": True}, "no server here"),
        ("extend", {"sandbox": "blue", "by": "0h"}, "not between"),
        ("extend", {"sandbox": "blue", "by": "-3h"}, "not a duration"),
        ("extend", {"sandbox": "nope", "by": "1h"}, "no sandbox “nope”"),
        ("bind-guild", {"sandbox": "blue"}, "no server here"),
        ("bind-guild", {"sandbox": "blue", "guild": "here"}, "17 to 20 digits"),
        ("unbind-guild", {"guild": "1" * 18}, "not bound"),
        ("destroy", {"sandbox": ""}, "no sandbox"),
    ],
)
async def test_bad_input_is_answered_with_what_to_do(scene, command, options, said):
    await scene.ada.command("sandbox create", channel=None, name="blue")
    reply = await scene.ada.command(f"sandbox {command}", channel=None, **options)
    assert said in text(reply)
    assert "SANDBOX_00" in text(reply)


async def test_what_is_taken_or_used_up_is_answered_with_a_sentence_and_no_database_error(open_scene):
    async with open_scene(sandboxes={"max_per_owner": 1}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        scene.lab.add_member(scene.bob, manage_guild=True)
        for options, said, code in (
            ({"name": "blue"}, "Choose another name", "SANDBOX_001"),
            ({"bind_here": True}, "bound to another sandbox", "SANDBOX_003"),
        ):
            reply = await scene.bob.command("sandbox create", channel=scene.lab.general, **options)
            assert said in text(reply)
            assert code in text(reply)
            assert "duplicate key" not in text(reply)
        reply = await scene.ada.command("sandbox create", channel=scene.lab.general, name="red")
        assert "1 of 1" in text(reply)
        assert "SANDBOX_002" in text(reply)


async def test_a_bug_becomes_a_reference_that_stands_in_the_log(scene, monkeypatch):
    from loguru import logger

    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}")

    async def broken(*_, **__):
        raise ZeroDivisionError("password=hunter2")

    monkeypatch.setattr(scene.app.manager, "list", broken)
    reply = await scene.ada.command("sandbox list", channel=None)
    logger.remove(sink)
    reference = text(reply).split("`")[1]
    assert "hunter2" not in text(reply)
    assert any(reference in line and "ZeroDivisionError" in line for line in lines)


async def test_a_suggestion_is_found_as_the_sandbox_that_it_names_though_its_name_looks_like_anothers_id(scene, pool):
    ada, here = scene.ada, scene.lab.general
    for name in ("blue", "red"):
        await ada.command("sandbox create", channel=here, name=name)
    blue, red = await scene.sandbox("blue"), await scene.sandbox("red")
    await pool.execute("UPDATE sandboxes SET name = $2 WHERE id = $1", red.id, blue.short_id)
    (found,) = await ada.autocomplete("sandbox status", channel=here, focused="sandbox", sandbox=blue.short_id)
    assert found["name"] == f"{blue.short_id} · running"
    reply = await ada.command("sandbox status", channel=here, sandbox=found["value"])
    assert f"`{red.short_id}`" in text(reply)
    reply = await ada.command("sandbox status", channel=here, sandbox=blue.short_id)
    assert title(reply.message) == "Sandbox “blue” is running"


async def test_sandboxes_durations_and_servers_are_suggested(scene):
    ada, here = scene.ada, scene.lab.general
    for name in ("login-page", "leaderboard"):
        await ada.command("sandbox create", channel=here, name=name)
    await scene.bob.command("sandbox create", channel=scene.arcade.general, name="bobs-login")

    found = await ada.autocomplete("sandbox status", channel=here, focused="sandbox", sandbox="log")
    assert [choice["value"] for choice in found] == ["login-page"]
    found = await scene.discord.owner.autocomplete(
        "sandbox status", channel=scene.lobby.general, focused="sandbox", sandbox="log"
    )
    assert {choice["value"] for choice in found} == {"login-page", "bobs-login"}
    found = await ada.autocomplete("sandbox extend", channel=here, focused="by", sandbox="login-page", by="90m")
    assert [choice["value"] for choice in found] == ["1h30m"]
    found = await ada.autocomplete("sandbox bind-guild", channel=here, focused="guild", sandbox="login-page", guild="")
    assert found == [{"name": "Ada's Lab", "value": str(scene.lab.id)}]

    scene.arcade.add_member(ada, manage_guild=True)
    await ada.command("sandbox bind-guild", channel=here, sandbox="login-page")
    found = await ada.autocomplete("sandbox unbind-guild", channel=None, focused="guild", guild="")
    assert found == [{"name": "Ada's Lab → login-page", "value": str(scene.lab.id)}]


async def test_who_writes_to_the_bot_directly_is_told_of_the_commands(scene):
    await scene.ada.send_dm("hello?")
    message = await scene.ada.wait_for_dm()
    assert "/sandbox create" in message.content


async def test_a_required_option_cannot_be_left_out(scene):
    with pytest.raises(UsageError):
        await scene.ada.command("sandbox extend", channel=None, sandbox="blue")


async def test_a_command_that_is_under_way_is_answered_before_the_bot_ends(scene, pool):
    await pool.execute("INSERT INTO sandbox_owners (id) VALUES ($1)", scene.ada.id)

    async def has_ended():
        return scene.app.bot.is_closed()

    async with pool.acquire() as rival, rival.transaction():
        await rival.execute("SELECT FROM sandbox_owners WHERE id = $1 FOR UPDATE", scene.ada.id)
        asked = asyncio.create_task(scene.ada.command("sandbox create", channel=scene.lab.general, name="blue"))
        await until_blocked(pool)
        scene.app.stop.set()
        with pytest.raises(TimeoutError):
            await scene.until(has_ended, 0.5)
    assert title((await asked).message) == "Sandbox “blue” is running"
    await scene.until(has_ended)
