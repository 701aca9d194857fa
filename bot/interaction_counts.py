"""Counts the interactions that are with the bot itself, and what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import product
from time import monotonic
from typing import Any

import discord

from bot import metrics, tracing
from bot.answering import Answer

_OUTCOMES = ("answered", "refused", "unavailable", "failed", "timed_out", "late")
_WITHOUT_COMMAND = (discord.InteractionType.component.name, discord.InteractionType.modal_submit.name)


class InteractionCounts:
    """Of one client."""

    def __init__(self) -> None:
        self.events = metrics.ON_INTERACTION.counter()
        self.outcomes = metrics.INTERACTIONS.counter()
        self.seconds = metrics.INTERACTION_SECONDS.histogram()

    def expect(self, commands: Iterable[str]) -> None:
        """There are these commands. Counts are told from now on: Prometheus sees no rise to what it sees first."""
        for name, outcome in product((*commands, *_WITHOUT_COMMAND), _OUTCOMES):
            self.outcomes.labels(name, outcome)

    def came(self, interaction: discord.Interaction[Any]) -> None:
        """As discord-ext-prometheus counts it: of suggestions, buttons and forms without a command."""
        guild, is_command = interaction.guild, interaction.type is discord.InteractionType.application_command
        command = _command(interaction) if is_command else None
        self.events.labels(guild.shard_id if guild else None, interaction.type.name, command).inc()

    def follow(self, interaction: discord.Interaction[Any], answer: Answer, work: asyncio.Task[Any]) -> None:
        """Counts it when that task is over, which is running, and traces it. Suggestions are not counted."""
        if interaction.type is discord.InteractionType.autocomplete:
            return
        began, name = monotonic(), _command(interaction) or interaction.type.name
        end_span = tracing.begin_span(name)

        def count(_: object) -> None:
            self.outcomes.labels(name, answer.outcome).inc()
            self.seconds.observe(monotonic() - began)
            end_span(answer.outcome)

        work.add_done_callback(count)


def _command(interaction: discord.Interaction[Any]) -> str | None:
    """With its groups; None if there is no such command, or none at all."""
    command = interaction.command
    return command.qualified_name if command is not None else None
