"""What the asker sees of an interaction, whatever becomes of the stores and of the requests to Discord.

Discord wants a first answer within three seconds, which may only promise one. So the work begins at once, and if it has
not answered soon, the answer is promised; if it takes too long, the user is told which service does not answer, and
work that has changed nothing yet is ended. All answers of the bot's own go this way: nobody else uses
`interaction.response` or `followup`.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import discord
from discord.app_commands import Choice
from discord.ui import View
from discord.utils import MISSING
from loguru import logger

from bot import constants, request
from bot.discord_away import until_taken
from bot.errors import ServiceUnavailable
from bot.explanations import DISCORD_FAILURES, explain, is_of_discord
from bot.i18n import gettext
from bot.own_messages import OwnMessages
from bot.request import Request

Interaction = discord.Interaction[Any]

_FAILURES = (*DISCORD_FAILURES, OSError)
"""What a request ends in that Discord refuses, or perhaps has taken nevertheless; a `TimeoutError` is one of them."""
_ACKNOWLEDGED_BEFORE, _UNKNOWN_INTERACTION = 40060, 10062
_ANSWER = "answer"
_ORIGINAL = "@original"


@dataclass(frozen=True, slots=True)
class _Message:
    embed: discord.Embed
    view: View | None = None
    file: tuple[str, bytes] | None = None
    """Its name and what is in it: a `discord.File` can be sent once."""

    @property
    def files(self) -> list[discord.File]:
        return [discord.File(io.BytesIO(self.file[1]), self.file[0])] if self.file else []


class Answer:
    """One message, which only the asker sees, or else in the place of the message whose button was pressed.

    What Discord refuses is told in the log, once, and raises nothing, but for a message that it does not understand:
    that is a bug.
    """

    def __init__(self, interaction: Interaction, own_messages: OwnMessages) -> None:
        self._interaction, self._own_messages = interaction, own_messages
        self.in_place = False
        """What is shown replaces the message with the button. To be set before the answer is promised."""
        self.request = Request(interaction.id)
        self.outcome = "answered"
        """What is counted at the end of the work: as the table of metrics has it."""
        self.has_outcome = False
        """It is shown, or on its way."""
        self._is_acknowledged = self._is_in_progress = self._is_over = False
        self._original_is_question = False
        self._apart: discord.WebhookMessage | None = None
        self._turn = asyncio.Lock()
        self._begun_at, self._was_tried = _now(), False

    async def show(
        self, embed: discord.Embed, *, view: View | None = None, file: tuple[str, bytes] | None = None
    ) -> None:
        """The outcome, in the place of what was shown before. `file`: its name and what is in it."""
        if self._is_over:
            return
        self.has_outcome = True
        for service in sorted(self.request.behind):
            embed.add_field(name=service, value=gettext("does not answer. It follows by itself."), inline=False)
        await self._put(_Message(embed, view, file), constants.INTERACTION_LASTS_S)

    async def progress(self, embed: discord.Embed) -> None:
        """What is to be seen until the outcome."""
        self._is_in_progress = True
        await self._put(_Message(embed), constants.PROGRESS_WITHIN_S)

    async def fail(self, text: str) -> None:
        """Tell of a failure. A question that nothing has replaced yet stays, with its buttons."""
        self.in_place = self.in_place and self._is_in_progress
        # Discord refuses more, and half of a pair; then the user would hear nothing at all.
        shown = text.encode(errors="replace").decode()[: constants.DESCRIPTION_CHARS]
        try:
            await self.show(discord.Embed(description=shown, colour=discord.Colour.red()))
        except discord.HTTPException as error:
            _tell(error, shown)

    async def end(self, text: str) -> None:
        """As `fail`, and whatever else is to be shown later is not."""
        await self.fail(text)
        self._is_over = True

    async def promise(self) -> None:
        """Acknowledge the interaction, unless that is done. If it fails, the answer itself will tell."""
        async with self._turn:
            try:
                await self._until_taken(self._defer, constants.PROMISE_WITHIN_S)
            except _FAILURES as error:
                logger.debug("an answer could not be promised", error=repr(error))

    async def is_wanted(self) -> bool:
        """Whether Discord still takes an answer; to what came late, only if somebody has acknowledged it in time.

        Otherwise the asker was told long ago that it failed, and it must not happen after all.
        """
        if not request.is_late():
            return True
        if self._interaction.type is discord.InteractionType.autocomplete:
            return False
        async with self._turn:
            try:
                await self._defer()
            except _FAILURES as error:
                code = getattr(error, "code", None)
                if code == _ACKNOWLEDGED_BEFORE:
                    await self._take_over()
                self.outcome = "late" if code == _UNKNOWN_INTERACTION else self.outcome
                return code != _UNKNOWN_INTERACTION
        return True

    async def original(self) -> discord.WebhookMessage | None:
        """What answers the interaction so far, or was promised to, also by another process; None if there is none, and
        where Discord does not say."""
        try:  # `interaction.original_response()` would remember what it has read
            return await self._interaction.followup.fetch_message(_ORIGINAL)  # type: ignore[arg-type]  # a part of the path
        except _FAILURES:
            return None

    async def _put(self, message: _Message, within_s: float) -> None:
        async with self._turn:
            shown = await self._deliver(message, within_s)
        if shown is not None and message.view is not None:
            await self._own_messages.add(shown)

    async def _deliver(self, message: _Message, within_s: float) -> int | None:
        """The id of the message that shows it; None if none does."""
        try:
            return await self._until_taken(partial(self._send, message), within_s)
        except _FAILURES as error:
            if not isinstance(error, OSError) and not is_of_discord(error):
                raise
            _tell(error, message.embed.title or message.embed.description)
            return None

    async def _until_taken[T](self, send: Callable[[], Awaitable[T]], within_s: float) -> T:
        """Again and again while Discord has trouble, as long as it takes an answer."""

        def left_s() -> float:
            lasts_s = constants.INTERACTION_LASTS_S if self._is_acknowledged else constants.INTERACTION_ANSWERABLE_S
            return self._begun_at + lasts_s - _now()

        async with asyncio.timeout(within_s):
            return await until_taken(partial(self._attempt, send), left_s)

    async def _attempt[T](self, send: Callable[[], Awaitable[T]]) -> T:
        is_first = not self._is_acknowledged and not self._was_tried
        within_s = constants.FIRST_ANSWER_TAKEN_WITHIN_S if is_first else constants.ANSWER_TAKEN_WITHIN_S
        self._was_tried = True
        async with asyncio.timeout(within_s):
            try:
                return await send()
            except discord.HTTPException as refusal:
                if refusal.code != _ACKNOWLEDGED_BEFORE or not await self._take_over():
                    raise
            return await send()

    async def _defer(self) -> None:
        if not self._is_acknowledged:
            await self._interaction.response.defer(ephemeral=True, thinking=not self.in_place)
            self._is_acknowledged, self._original_is_question = True, self.in_place

    async def _take_over(self) -> bool:
        """A request of ours that was cut has acknowledged it, or another process of the bot: go on from there."""
        original = await self.original()
        if original is None:
            return False
        question = self._interaction.message
        self._original_is_question = question is not None and question.id == original.id
        self.in_place = self.in_place and self._original_is_question
        self._is_acknowledged = True
        return True

    async def _send(self, message: _Message) -> int | None:
        if not self._is_acknowledged:
            return await self._respond(message)
        if self._original_is_question and not self.in_place:
            return await self._send_apart(message)
        edited = await self._interaction.edit_original_response(
            embed=message.embed, view=message.view, attachments=message.files
        )
        return edited.id

    async def _respond(self, message: _Message) -> int | None:
        response, view = self._interaction.response, message.view
        if self.in_place:
            told = await response.edit_message(embed=message.embed, view=view)
        else:
            told = await response.send_message(
                embed=message.embed, view=view or MISSING, files=message.files, ephemeral=True
            )
        self._is_acknowledged, self._original_is_question = True, self.in_place
        return told.message_id if told is not None else None

    async def _send_apart(self, message: _Message) -> int:
        """Beside a question that stays."""
        embed, view = message.embed, message.view
        if self._apart is None:
            self._apart = await self._interaction.followup.send(
                embed=embed, view=view or MISSING, files=message.files, ephemeral=True, wait=True
            )
        else:
            await self._apart.edit(embed=embed, view=view, attachments=message.files)
        return self._apart.id


def begin(interaction: Interaction, own_messages: OwnMessages) -> Answer:
    """The running task does from here on what somebody waits for: it answers, or it is answered for it."""
    answer = interaction.extras[_ANSWER] = Answer(interaction, own_messages)
    work = asyncio.current_task()
    assert work is not None
    request.serve(answer.request)
    is_typing = interaction.type is discord.InteractionType.autocomplete
    watching = _suggest_nothing(interaction, work) if is_typing else _watch(answer, work)
    watch = asyncio.create_task(watching)
    work.add_done_callback(lambda _: work.cancelled() or watch.cancel())
    return answer


def of(interaction: Interaction) -> Answer:
    """The one that was begun for it."""
    answer: Answer = interaction.extras[_ANSWER]
    return answer


async def suggest(interaction: Interaction, choices: Sequence[Choice[str | int | float]]) -> None:
    """While somebody types. What Discord does not take is not missed, and the task ends without a word."""
    try:
        await interaction.response.autocomplete(choices)
    except _FAILURES as error:
        logger.debug("suggestions were not taken", error=repr(error))
        raise asyncio.CancelledError from error  # anything else discord.py would log as a bug


async def _watch(answer: Answer, work: asyncio.Task[Any]) -> None:
    """Promise the answer of work that takes long; if it takes too long, tell, and end it while that is safe."""
    ends_at = _now() + constants.WORK_WITHIN_S
    await asyncio.sleep(constants.PROMISE_AFTER_S)
    await answer.promise()
    await asyncio.sleep(ends_at - _now())
    if answer.has_outcome:
        return
    served = answer.request
    service = served.awaited or gettext("The bot")
    logger.warning("an interaction takes too long", service=service, goes_on=served.has_begun)
    if served.has_begun:
        await answer.progress(_under_way(service))
    else:
        work.cancel()
        answer.outcome = "timed_out"
        await answer.end(explain(ServiceUnavailable(service)) or "")


async def _suggest_nothing(interaction: Interaction, work: asyncio.Task[Any]) -> None:
    """Discord drops what comes later; whoever types on asks again."""
    await asyncio.sleep(constants.SUGGEST_WITHIN_S)
    work.cancel()
    if not interaction.response.is_done():
        await suggest(interaction, [])


def _under_way(service: str) -> discord.Embed:
    text = gettext(
        "{service} is slow to answer. What you asked for goes on, and its outcome will be shown here.", service=service
    )
    return discord.Embed(description=text, colour=discord.Colour.orange())


def _now() -> float:
    return asyncio.get_running_loop().time()


def _tell(error: BaseException, said: str | None) -> None:
    logger.warning("the user could not be told", error=repr(error), said=said)
