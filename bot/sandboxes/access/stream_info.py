"""Tells a sandbox's workers what their stream and their consumer are like.

They may not ask JetStream themselves: it would answer to any subject, another sandbox's too, and a flood of questions
would be everybody's.
"""

from __future__ import annotations

from loguru import logger
from nats.aio.msg import Msg

from bot import names
from bot.errors import ServiceUnavailable
from bot.stores.nats import StreamStore


class StreamInfoService:
    """Passes JetStream's own answer on to what comes on sandboxes' subjects for it."""

    def __init__(self, streams: StreamStore) -> None:
        self._streams = streams

    async def answer(self, message: Msg) -> bytes | None:
        """None to a request that wants its answer outside its sandbox, and if JetStream does not answer.

        The body is not read: what else a question may ask for, such as every subject of the stream, costs more.
        """
        sandbox_id = names.sandbox_of_inbox(message.reply)
        if sandbox_id is None:
            return None
        stream = names.stream_name(sandbox_id)
        asks = {
            names.info_subject(stream, names.STREAM_INFO): self._streams.describe,
            names.info_subject(stream, names.CONSUMER_INFO): self._streams.describe_consumer,
        }
        if (ask := asks.get(message.subject)) is None:  # what somebody has led here, or of another stream
            return None
        try:
            return await ask(sandbox_id)
        except ServiceUnavailable as error:
            logger.debug("a question after a stream is not answered", sandbox=str(sandbox_id), error=str(error))
            return None
