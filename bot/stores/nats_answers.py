"""One question over NATS to everybody who hears it, however many they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg


async def ask_all(
    client: Client,
    subject: str,
    payload: bytes = b"",
    *,
    first_within_s: float,
    others_within_s: float,
    is_last: Callable[[Msg], bool] = lambda _: False,
) -> list[Msg]:
    """The answers; `TimeoutError` if there is none in time. After each, unless that `is_last`, another one is waited
    for as long as the first has taken, for so far away they are, and `others_within_s`."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    try:
        asked_at = time.monotonic()
        async with asyncio.timeout(first_within_s):
            await client.publish(subject, payload, reply=inbox)
            answers = [await subscription.next_msg(timeout=None)]
        apart_s = time.monotonic() - asked_at + others_within_s
        with suppress(TimeoutError):
            async with asyncio.timeout(first_within_s):  # whoever answers without end is not listened to for ever
                while not is_last(answers[-1]):
                    async with asyncio.timeout(apart_s):
                        answers.append(await subscription.next_msg(timeout=None))
    finally:
        await subscription.unsubscribe()
    return answers
