"""The kit's answers to interactions at a Discord that has trouble, or that something else answers for."""

from __future__ import annotations

import asyncio
import time

import pytest

from local_discord import LocalDiscord
from sandbox_worker import DiscordUnavailable, InteractionFailed, constants
from sandbox_worker.discord_api import DEFERRED_MESSAGE, MESSAGE, DiscordApi, message
from sandbox_worker.trust import trusted_by

BY_CLOUDFLARE = {"Content-Type": "text/html", "Server": "cloudflare"}
HTML = "<html><title>Access denied</title>error code: 1015</html>"
CALLBACK = "/callback"
TROUBLE = [(502, HTML), (503, {"message": "503: Service Unavailable", "code": 0}), (504, ""), (403, HTML), (200, HTML)]


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(constants, "DISCORD_RETRY_DELAY_S", 0.01)


@pytest.fixture(scope="module")
async def discord():
    async with LocalDiscord() as discord:
        yield discord


@pytest.fixture(scope="module")
def ada(discord):
    return discord.add_person("ada")


@pytest.fixture(scope="module")
def lab(discord, ada):
    return discord.add_guild("Lab", owner=ada)


@pytest.fixture
async def api(discord):
    api = DiscordApi(discord.api_base, trust=trusted_by(""))
    yield api
    await api.close()
    discord.end_refusals()


@pytest.fixture
async def asked(discord, ada, lab):
    """What the person sees, and the interaction as its worker gets it."""
    reply = await ada.use_foreign_command("score", channel=lab.general)
    application_id = str(discord.application_id)
    return reply, {"id": str(reply.interaction_id), "token": reply.token, "application_id": application_id}


def shown(reply):
    return [each.content for each in reply.messages]


@pytest.mark.parametrize(("status", "body"), TROUBLE)
async def test_every_answer_is_given_again_until_discord_itself_answers(discord, api, asked, status, body):
    reply, interaction = asked
    discord.refuse_next(CALLBACK, status, body, headers=BY_CLOUDFLARE, times=3)
    await api.respond(interaction, DEFERRED_MESSAGE, None)
    discord.refuse_next("/@original", status, body, headers=BY_CLOUDFLARE, times=3)
    await api.edit_reply(interaction, message("bob leads"))
    discord.refuse_next("/webhooks/", status, body, headers=BY_CLOUDFLARE, times=3)
    await api.follow_up(interaction, message("by far"))
    assert shown(reply) == ["bob leads", "by far"]


async def test_a_connection_that_is_lost_before_discord_takes_the_answer_costs_none(discord, api, asked):
    reply, interaction = asked
    for path, give in (
        (CALLBACK, lambda: api.respond(interaction, MESSAGE, message("bob leads"))),
        ("/@original", lambda: api.edit_reply(interaction, message("bob leads by far"))),
        ("/webhooks/", lambda: api.follow_up(interaction, message("again"))),
    ):
        for _ in range(2):
            discord.cut_next(path, taken=False)
        await give()
    assert shown(reply) == ["bob leads by far", "again"]


async def test_a_first_answer_whose_confirmation_is_lost_is_given_once(discord, api, asked):
    reply, interaction = asked
    discord.cut_next(CALLBACK)
    await api.respond(interaction, MESSAGE, message("once"))
    assert shown(reply) == ["once"]
    with pytest.raises(InteractionFailed, match="answered already"):
        await api.respond(interaction, MESSAGE, message("twice"))


async def test_an_answer_that_discord_has_not_taken_for_certain_was_given_by_somebody_else(discord, api, asked):
    reply, interaction = asked
    await api.respond(interaction, MESSAGE, message("the other's"))
    discord.refuse_next(CALLBACK, 429, HTML, headers={"Retry-After": "0.01"})
    with pytest.raises(InteractionFailed, match="answered already"):
        await api.respond(interaction, MESSAGE, message("mine"))
    assert shown(reply) == ["the other's"]


async def test_a_follow_up_whose_confirmation_is_lost_is_seen_twice_rather_than_never(discord, api, asked):
    reply, interaction = asked
    await api.respond(interaction, MESSAGE, message("bob leads"))
    discord.cut_next("/webhooks/")
    await api.follow_up(interaction, message("by far"))
    assert shown(reply) == ["bob leads", "by far", "by far"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (HTML, {"Retry-After": "0.4", **BY_CLOUDFLARE}),
        (
            {"message": "You are being rate limited.", "retry_after": 0.4, "global": False},
            {"Retry-After": "1"},
        ),
    ],
    ids=["Cloudflare", "Discord"],
)
async def test_who_is_asked_to_wait_waits_as_long(discord, api, asked, body, headers):
    reply, interaction = asked
    discord.refuse_next(CALLBACK, 429, body, headers=headers)
    begun_at = time.monotonic()
    await api.respond(interaction, MESSAGE, message("patience"))
    assert 0.4 <= time.monotonic() - begun_at < 0.9
    assert shown(reply) == ["patience"]


async def test_a_wait_that_is_longer_than_the_interaction_lasts_is_told_at_once(discord, api, asked):
    _, interaction = asked
    discord.refuse_next(CALLBACK, 429, HTML, headers={"Retry-After": "1800", **BY_CLOUDFLARE})
    with pytest.raises(DiscordUnavailable, match=r"429, to be asked again in 1800 s\): tried once\."):
        await api.respond(interaction, MESSAGE, message("never"))


async def test_trouble_that_lasts_is_told_with_tries_and_time_and_as_no_refusal(discord, api, asked, monkeypatch):
    _, interaction = asked
    monkeypatch.setattr(constants, "FIRST_ANSWER_WITHIN_S", 0.3)
    discord.refuse_next(CALLBACK, 503, HTML, times=10**6)
    with pytest.raises(DiscordUnavailable, match=r"\(503\): tried [3-9] times in 0\.[1-3] s") as failed:
        await api.respond(interaction, MESSAGE, message("never"))
    assert (failed.value.code, failed.value.service) == ("SANDBOX_010", "Discord")
    assert "refuse" not in str(failed.value)
    assert interaction["token"] not in str(failed.value)


async def test_a_connection_that_dies_without_a_word_leaves_time_for_another(discord, api, asked, monkeypatch):
    reply, interaction = asked
    monkeypatch.setattr(constants, "FIRST_ANSWER_TRY_S", 0.2)
    answer, held = discord._frame._answer, asyncio.Event()

    async def stay_silent(request, path):
        monkeypatch.setattr(discord._frame, "_answer", answer)
        await held.wait()
        return await answer(request, path)

    monkeypatch.setattr(discord._frame, "_answer", stay_silent)
    await api.respond(interaction, MESSAGE, message("at last"))
    held.set()
    assert shown(reply) == ["at last"]
