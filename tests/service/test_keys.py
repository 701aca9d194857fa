"""Secrets that bots share."""

from __future__ import annotations

import asyncio

import pytest

from bot.keys import KeyRing


@pytest.fixture
def keys(pool):
    return KeyRing(pool)


async def test_a_purpose_gets_one_key_however_many_bots_ask_first(pool):
    made = await asyncio.gather(*(KeyRing(pool).current("buttons") for _ in range(20)))
    assert len(set(made)) == 1
    assert len(made[0]) == 32


async def test_purposes_have_keys_of_their_own(keys):
    assert await keys.current("buttons") != await keys.current("hint channel")
    assert await keys.purposes() == ["buttons", "hint channel"]


async def test_after_a_rotation_the_key_before_is_valid_for_a_day(keys, pool):
    first = await keys.current("buttons")
    await keys.rotate("buttons")
    second = await keys.current("buttons")
    assert await keys.valid("buttons") == (second, first)
    await pool.execute("UPDATE bot_keys SET retired_at = now() - interval '25h' WHERE retired_at IS NOT NULL")
    assert await keys.valid("buttons") == (second,)


async def test_two_rotations_in_a_row_end_a_key_at_once(keys, pool):
    first = await keys.current("buttons")
    await keys.rotate("buttons")
    await keys.rotate("buttons")
    assert first not in await keys.valid("buttons")
    assert len(await keys.valid("buttons")) == 2
    assert await pool.fetchval("SELECT count(*) FROM bot_keys") == 2


async def test_rotations_at_the_same_moment_wait_for_each_other(keys, pool):
    first = await keys.current("buttons")
    await asyncio.gather(*(KeyRing(pool).rotate("buttons") for _ in range(8)))
    assert await pool.fetchval("SELECT count(*) FROM bot_keys WHERE retired_at IS NULL") == 1
    assert await keys.current("buttons") != first


async def test_a_purpose_without_a_key_can_be_rotated(keys):
    await keys.rotate("buttons")
    assert len(await keys.valid("buttons")) == 1
