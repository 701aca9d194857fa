"""Keys that all bots share."""

import asyncio

from bot.keys import KeyRing


async def test_many_who_need_the_first_key_at_once_get_the_same(pool):
    found = await asyncio.gather(*(KeyRing(pool).current("something") for _ in range(8)))
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert await KeyRing(pool).current("something else") != found[0]


async def test_a_key_that_was_replaced_is_valid_for_another_day(pool):
    keys = KeyRing(pool)
    first = await keys.current("something")
    await keys.rotate("something")
    second = await keys.current("something")
    assert await keys.valid("something") == (second, first)
    await pool.execute("UPDATE bot_keys SET retired_at = now() - interval '25 hours' WHERE retired_at IS NOT NULL")
    assert await keys.valid("something") == (second,)
    assert await keys.valid("never used") == ()
