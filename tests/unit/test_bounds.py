"""What is remembered of each sandbox, server or person is forgotten, or bounded: there are ever more of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from bot import constants
from bot.relay.commands import GuildCommands
from bot.relay.fairness import InvalidRequests
from bot.routing.forwarded import ForwardedInteractions
from bot.sandboxes.access.sizes import SandboxSizes
from bot.sandboxes.lifecycle.reaper import Reaper

MANY = 100


def test_refusals_of_a_sandbox_are_forgotten_when_they_count_no_more(monkeypatch):
    monkeypatch.setattr(constants, "RELAY_INVALID_COUNTED_FOR_S", 0.0)
    refusals = InvalidRequests()
    for _ in range(MANY):
        refusals.count(uuid4())
    assert len(refusals._refused_at) == 1


def test_withheld_answers_are_counted_of_so_many_sandboxes(monkeypatch):
    monkeypatch.setattr(constants, "WITHHELD_FROM", 3)
    forwarded = ForwardedInteractions(None)
    for number in range(MANY):
        forwarded.withhold(f"sandbox.{number}.events.")
    forwarded.withhold(f"sandbox.{MANY - 1}.events.")
    assert [*forwarded.withheld.items()][-1] == (f"sandbox.{MANY - 1}.events.", 2)
    assert len(forwarded.withheld) == 3


@pytest.mark.parametrize("stuck_after", [timedelta(0), timedelta(hours=1)])
def test_a_sandbox_that_could_not_be_ended_here_is_forgotten_once_others_must_have_done_so(stuck_after):
    reaper = Reaper(*[None] * 6, warn_before=stuck_after, grace=stuck_after, stuck_after=stuck_after)
    for _ in range(MANY):
        reaper._tell({uuid4(): OSError()})
    assert len(reaper._failing) == (MANY if stuck_after else 1)


def test_a_sandbox_that_is_small_again_or_gone_is_not_let_in_any_more():
    sizes = SandboxSizes(None, None)
    large = {"may_connect": True, "is_newly_over": False, "schema_name": "sandbox_x", "bytes": 1}
    for _ in range(MANY):
        rows: list[Any] = [{"id": uuid4(), **large}]
        sizes._choose(rows)
    assert len(sizes._let_in) == 1


async def test_a_server_whose_commands_were_refused_is_spared_no_longer_than_that(pool):
    commands = GuildCommands(pool, None, None)
    commands._spared_until = dict.fromkeys(range(MANY), 0.0)
    await commands.reconcile()
    assert commands._spared_until == {}
