"""What else discord.py does with messages in the local Discord: forwards, pins, reactions, deletions."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import discord
import pytest

from local_discord import UsageError
from local_discord.errors import ApiError
from local_discord.rules.message_rules import check_message
from local_discord.world.drafts import Attachment
from tests.e2e.test_local_discord_support import lab, plain, text_channel

EVERYTHING = discord.Intents.all()


async def test_a_forward_carries_a_copy_of_what_the_bot_can_read():
    async with lab(intents=EVERYTHING) as (local, bot, guild, ada):
        other = guild.add_channel("other")
        said = await ada.send(guild.general, "wise words")
        message = await bot.hears("message", lambda one: one.id == said.id)
        sent = await message.forward(bot.get_partial_messageable(other.id))
        assert [one.content for one in sent.message_snapshots] == ["wise words"]
        assert (sent.reference.type, sent.reference.channel_id) == (
            discord.MessageReferenceType.forward,
            guild.general.id,
        )
        guild.general.deny(local.bot_user, ["read_message_history"])
        with pytest.raises(discord.Forbidden) as refused:
            await message.forward(bot.get_partial_messageable(other.id))
        assert refused.value.code == 50013


async def test_a_message_of_a_guild_that_the_bot_has_left_cannot_be_forwarded():
    async with lab() as (local, bot, guild, ada):
        left = local.add_guild("Left", owner=ada)
        said = await ada.send(left.general, "inside")
        left.kick_bot()
        reference = discord.MessageReference(
            message_id=said.id, channel_id=left.general.id, type=discord.MessageReferenceType.forward
        )
        with pytest.raises(discord.Forbidden) as refused:
            await text_channel(bot, guild).send(reference=reference)
        assert refused.value.code == 50001


async def test_an_answer_shows_the_message_that_it_answers_while_that_is_there():
    async with lab(intents=EVERYTHING) as (_, bot, guild, ada):
        said = await ada.send(guild.general, "question")
        message = await bot.hears("message", lambda one: one.id == said.id)
        answer = await message.reply("answer")
        fetched = await text_channel(bot, guild).fetch_message(answer.id)
        assert (fetched.reference.channel_id, fetched.reference.guild_id) == (guild.general.id, guild.id)
        assert fetched.reference.resolved.content == "question"
        await ada.delete(said)
        fetched = await text_channel(bot, guild).fetch_message(answer.id)
        assert isinstance(fetched.reference.resolved, discord.DeletedReferencedMessage)


async def test_an_answer_to_a_deleted_message_may_stand_alone():
    async with lab() as (_, bot, guild, ada):
        said = await ada.send(guild.general, "question")
        await ada.delete(said)
        reference = discord.MessageReference(message_id=said.id, channel_id=guild.general.id, fail_if_not_exists=False)
        sent = await text_channel(bot, guild).send("answer", reference=reference)
        assert guild.general.messages[sent.id].reference is None


async def test_messages_are_pinned_listed_and_unpinned():
    async with lab("pin_messages") as (local, bot, guild, ada):
        said = await ada.send(guild.general, "keep this")
        partial = text_channel(bot, guild).get_partial_message(said.id)
        await partial.pin()
        await bot.hears("guild_channel_pins_update")
        assert [pinned.id async for pinned in text_channel(bot, guild).pins()] == [said.id]
        assert said.payload()["pinned"]
        told = list(guild.general.messages.values())[-1]
        assert told.kind == 6
        assert told.reference is not None
        assert told.reference["message_id"] == str(said.id)
        await partial.unpin()
        assert [pinned.id async for pinned in text_channel(bot, guild).pins()] == []
        guild.general.deny(local.bot_user, ["pin_messages"])
        with pytest.raises(discord.Forbidden):
            await partial.pin()


async def test_many_messages_are_deleted_by_one_event():
    async with lab("manage_messages") as (local, bot, guild, ada):
        said = [await ada.send(guild.general, str(number)) for number in range(3)]
        kept = await ada.send(guild.general, "kept")
        await text_channel(bot, guild).delete_messages([discord.Object(one.id) for one in said])
        assert (await bot.hears("raw_bulk_message_delete")).message_ids == {one.id for one in said}
        assert list(guild.general.messages) == [kept.id]
        assert sum(record.event == "MESSAGE_DELETE_BULK" for record in local.dispatched) == 1


async def test_reactions_are_listed_and_taken_away_by_whoever_manages_messages():
    async with lab("manage_messages") as (_, bot, guild, ada):
        said = await ada.send(guild.general, "vote")
        for emoji in ("👍", "👎"):
            await ada.react(said, emoji)
        message = await text_channel(bot, guild).fetch_message(said.id)
        await message.add_reaction("👍")
        up = next(one for one in (await message.fetch()).reactions if one.emoji == "👍")
        assert {user.id async for user in up.users()} == {ada.id, bot.user.id}
        await message.remove_reaction("👍", discord.Object(ada.id))
        assert said.reactions["👍"] == {bot.user.id}
        await message.clear_reaction("👎")
        assert (await bot.hears("raw_reaction_clear_emoji")).emoji.name == "👎"
        await message.clear_reactions()
        await bot.hears("raw_reaction_clear")
        assert said.reactions == {}


async def test_history_is_read_around_a_message():
    async with lab(intents=EVERYTHING) as (_, bot, guild, ada):
        said = [await ada.send(guild.general, str(number)) for number in range(7)]
        around = text_channel(bot, guild).history(around=discord.Object(said[3].id), limit=3)
        assert [message.content async for message in around] == ["4", "3", "2"]


async def test_what_the_bot_may_not_do_in_a_channel_is_refused():
    async with lab() as (local, bot, guild, ada):
        said = await ada.send(guild.general, "hello")
        channel = text_channel(bot, guild)
        guild.general.deny(local.bot_user, ["send_messages", "add_reactions", "read_message_history", "attach_files"])
        for refused in (
            channel.send("no"),
            channel.typing(),
            channel.fetch_message(said.id),
            channel.get_partial_message(said.id).add_reaction("👍"),
            channel.get_partial_message(said.id).clear_reactions(),
        ):
            with pytest.raises(discord.Forbidden) as failure:
                await refused
            assert failure.value.code == 50013
        assert [message async for message in channel.history()] == []
        guild.general.deny(local.bot_user, ["view_channel"])
        with pytest.raises(discord.Forbidden) as failure:
            await channel.send("no")
        assert failure.value.code == 50001


async def test_somebody_does_not_write_where_they_see_nothing():
    async with lab() as (local, _, guild, _ada):
        bob = local.add_person("bob")
        guild.add_member(bob)
        guild.general.deny(bob, ["view_channel"])
        with pytest.raises(UsageError, match="cannot see"):
            await bob.send(guild.general, "psst")


async def test_roles_and_everybody_are_named_by_whoever_may():
    async with lab(intents=EVERYTHING) as (local, bot, guild, ada):
        bob, general = local.add_person("bob"), guild.general
        guild.add_member(bob)
        general.deny(bob, ["mention_everyone"])
        open_role, closed_role = guild.add_role("open"), guild.add_role("closed")
        open_role.mentionable = True
        text = f"@everyone <@&{open_role.id}> <@&{closed_role.id}> {bob.mention}"
        heard = []
        for author in (ada, bob):
            said = await author.send(general, text)
            heard.append(await bot.hears("message", lambda one, said=said: one.id == said.id))
        assert [one.mention_everyone for one in heard] == [True, False]
        assert [[role.name for role in one.role_mentions] for one in heard] == [["open", "closed"], ["open"]]
        channel = text_channel(bot, guild)
        silent = await channel.send(text, allowed_mentions=discord.AllowedMentions.none())
        assert (silent.mention_everyone, silent.role_mentions, silent.mentions) == (False, [], [])
        some = await channel.send(text, allowed_mentions=discord.AllowedMentions(everyone=False, roles=[closed_role]))
        assert [role.name for role in some.role_mentions] == ["closed"]


async def test_whoever_is_answered_is_named_unless_the_answer_says_otherwise():
    async with lab() as (_, bot, guild, ada):
        said = await ada.send(guild.general, "question")
        message = text_channel(bot, guild).get_partial_message(said.id)
        assert [user.id for user in (await message.reply("answer")).mentions] == [ada.id]
        assert (await message.reply("answer", mention_author=False)).mentions == []
        reply = await ada.send(guild.general, "thanks", reply_to=said)
        assert [user.id for user in reply.mentions] == [ada.id]


async def test_embeds_show_the_files_that_come_with_them():
    async with lab() as (_, bot, guild, _ada):
        embed = discord.Embed(title="picture").set_image(url="attachment://a.png")
        sent = await text_channel(bot, guild).send(embed=embed, file=discord.File(io.BytesIO(b"x"), "a.png"))
        assert sent.embeds[0].image.url == sent.attachments[0].url


@pytest.mark.parametrize(
    "allowed", [{"parse": ["all"]}, {"parse": "users"}, {"parse": ["users"], "users": ["1"]}, {"users": ["x"]}]
)
async def test_faulty_mentions_are_refused(allowed: dict[str, Any]):
    async with plain() as api:
        status, body = await api("POST", api.messages, json={"content": "x", "allowed_mentions": allowed})
        assert (status, body["code"], list(body["errors"])) == (400, 50035, ["allowed_mentions"])


async def test_a_poll_is_voted_in_by_people_and_ended_by_the_bot():
    async with lab(intents=EVERYTHING) as (_, bot, guild, ada):
        poll = discord.Poll(question="Tea?", duration=timedelta(hours=1))
        poll.add_answer(text="yes", emoji="🍵").add_answer(text="no")
        sent = await text_channel(bot, guild).send(poll=poll)
        asked = guild.general.messages[sent.id]
        await ada.vote(asked, "no")
        await ada.vote(asked, "yes")
        assert (await bot.hears("raw_poll_vote_remove")).answer_id == 2
        with pytest.raises(UsageError, match="takes one answer"):
            await ada.vote(asked, "yes", "no")
        fetched = await sent.fetch()
        assert fetched.poll is not None
        assert [(answer.text, answer.vote_count) for answer in fetched.poll.answers] == [("yes", 1), ("no", 0)]
        assert [user.id async for user in fetched.poll.answers[0].voters()] == [ada.id]
        ended = await sent.end_poll()
        assert ended.poll is not None
        assert ended.poll.is_finalised()
        told = await bot.hears("message", lambda one: one.type is discord.MessageType.poll_result)
        fields = {field.name: field.value for field in told.embeds[0].fields}
        assert (fields["victor_answer_text"], fields["total_votes"]) == ("yes", "1")
        assert told.reference.message_id == sent.id
        with pytest.raises(UsageError, match="over"):
            await ada.vote(asked, "no")


async def test_a_faulty_poll_is_refused_where_it_is_faulty():
    async with lab() as (_, bot, guild, _ada):
        poll = discord.Poll(question="x" * 301, duration=timedelta(hours=1))
        with pytest.raises(discord.HTTPException, match=r"poll\.question\.text") as refused:
            await text_channel(bot, guild).send(poll=poll)
        assert "poll.answers" in str(refused.value)


@pytest.mark.parametrize(
    ("embed", "place", "code"),
    [
        ({"url": "javascript:alert(1)"}, ("url",), "URL_TYPE_INVALID_SCHEME"),
        ({"image": {"url": "example.org/a.png"}}, ("image", "url"), "URL_TYPE_INVALID_URL"),
        ({"author": {"name": "x", "icon_url": "ftp://x/y"}}, ("author", "icon_url"), "URL_TYPE_INVALID_SCHEME"),
        ({"timestamp": "yesterday"}, ("timestamp",), "DATE_TIME_TYPE_PARSE"),
    ],
)
async def test_addresses_and_times_of_an_embed_are_checked(embed: dict[str, Any], place: tuple[str, ...], code: str):
    with pytest.raises(ApiError) as refused:
        check_message({"embeds": [{"title": "x"} | embed]})
    node: Any = refused.value.errors
    for step in ("embeds", "0", *place):
        node = node[step]
    assert [one["code"] for one in node["_errors"]] == [code]


async def test_addresses_and_times_that_discord_takes_are_taken():
    embed = {"url": "https://x", "image": {"url": "attachment://a.png"}, "timestamp": "2026-01-01T00:00:00.000Z"}
    check_message({"embeds": [embed | {"thumbnail": {"url": ""}, "footer": {"text": "x", "icon_url": "HTTP://x"}}]})


PICTURES = {
    "a.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02",
    "a.gif": b"GIF89a\x03\0\x02\0",
    "a.jpg": b"\xff\xd8\xff\xe1\0\x0b\xff\xc0\0\x0b\x08\0\x09\0\x09\xff\xc0\0\x0b\x08\0\x02\0\x03\x01",
    "a.webp": b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x02\0\0\x01\0\0",
    "lossless.webp": b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x02\x40\0\0",
    "lossy.webp": b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x03\0\x02\0",
}


@pytest.mark.parametrize(("name", "content"), PICTURES.items())
def test_a_picture_tells_its_size(name: str, content: bytes):
    told = Attachment(1, name, content).payload(ephemeral=False)
    assert (told["width"], told["height"]) == (3, 2)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG", b"RIFF\0\0\0\0WEBP"])
def test_a_file_that_is_no_picture_has_no_size(content: bytes):
    assert "width" not in Attachment(1, "a.png", content).payload(ephemeral=False)
