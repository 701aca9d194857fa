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
    again_s: float | None = None,
    is_last: Callable[[Msg], bool] = lambda _: False,
) -> list[Msg]:
    """The answers; `TimeoutError` if there is none in time. After each, unless that `is_last`, another one is waited
    for as long as the first has taken, for so far away they are, and `others_within_s`.

    `again_s`: how often it is asked until the first answer, so that a connection that is lost takes no question with
    it; who is asked twice may answer twice.
    """
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    answers: list[Msg] = []
    try:
        async with asyncio.timeout(first_within_s):
            while not answers:
                asked_at = time.monotonic()
                await client.publish(subject, payload, reply=inbox)
                with suppress(TimeoutError):
                    async with asyncio.timeout(again_s):
                        answers.append(await subscription.next_msg(timeout=None))
        apart_s = time.monotonic() - asked_at + others_within_s
        with suppress(TimeoutError):
            async with asyncio.timeout(first_within_s):  # whoever answers without end is not listened to for ever
                while not is_last(answers[-1]):
                    async with asyncio.timeout(apart_s):
                        answers.append(await subscription.next_msg(timeout=None))
    finally:
        await subscription.unsubscribe()
    return answers
