"""Which level a sandbox's health comes to, and why."""

import dataclasses
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bot.sandboxes.access.isolation import Enforcement, Isolation
from bot.sandboxes.health import GuildPresence, GuildRouting, Health, HealthLevel, RoutingHealth, StoreHealth
from bot.sandboxes.model import Sandbox, SandboxStatus

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
SANDBOX = Sandbox(uuid4(), "blue", 1, None, SandboxStatus.RUNNING, "sandbox_x", NOW, NOW + timedelta(1), None, (7,))
FINE, GONE = StoreHealth(True, "fine", {}), StoreHealth(False, "no answer within 8 s", {})
ENFORCED = Isolation(Enforcement(), Enforcement(), Enforcement())
HERE = GuildPresence(True, "Lab", ())


def routing(presence=HERE, in_force=True, **others):
    return RoutingHealth((GuildRouting(7, presence, in_force),), **others)


def test_four_values_are_enough_for_a_health():
    health = Health(SANDBOX, FINE, FINE, FINE)
    assert (health.ok, health.level, health.reasons) == (True, HealthLevel.HEALTHY, [])
    assert (health.routing.guilds, health.routing.summary) == ((), "no server is bound")
    assert not Health(SANDBOX, FINE, FINE, GONE).ok


@pytest.mark.parametrize(
    ("changes", "level", "reasons"),
    [
        ({}, "healthy", []),
        ({"routing": routing(None, None, unknown=("Discord was not asked.",))}, "healthy", []),
        ({"routing": routing(GuildPresence(True, "Lab", None))}, "healthy", []),
        ({"redis": GONE}, "unhealthy", ["Redis: no answer within 8 s."]),
        ({"routing": routing(GuildPresence(False))}, "unhealthy", ["The bot is not in server 7."]),
        ({"routing": routing(in_force=False)}, "unhealthy", ["No route of server Lab is in force."]),
        (
            {"routing": routing(unstored="NATS: its folder cannot be written to")},
            "unhealthy",
            ["No events are stored, they wait meanwhile: NATS: its folder cannot be written to."],
        ),
        (
            {"routing": routing(GuildPresence(True, "Lab", ("a", "b", "c", "d", "e", "f")))},
            "degraded",
            ["The bot cannot see 6 channels of Lab: #a, #b, #c, #d, #e …."],
        ),
        (
            {"routing": routing(stale="PostgreSQL: gone")},
            "degraded",
            ["The routes may be out of date: PostgreSQL: gone."],
        ),
        (
            {"isolation": dataclasses.replace(ENFORCED, nats=Enforcement("no callout"))},
            "degraded",
            ["NATS keeps sandboxes apart by convention alone: no callout."],
        ),
        (
            {"unasked": ("nats-2",)},
            "degraded",
            [
                "NATS server nats-2 does not answer: whoever is connected there with credentials that have ended is "
                "disconnected as soon as it does."
            ],
        ),
        (
            {"notices_undelivered": True},
            "degraded",
            ["The last notice could not be delivered to the owner, who may have closed direct messages."],
        ),
        (
            {"postgres": GONE, "notices_undelivered": True, "routing": routing(stale="gone")},
            "unhealthy",
            [
                "PostgreSQL: no answer within 8 s.",
                "The routes may be out of date: gone.",
                "The last notice could not be delivered to the owner, who may have closed direct messages.",
            ],
        ),
        (
            {"sandbox": dataclasses.replace(SANDBOX, status=SandboxStatus.EXPIRED), "routing": routing(in_force=False)},
            "unhealthy",
            ["It is expired: no events come, no worker connects."],
        ),
    ],
)
def test_the_level_is_the_worst_that_there_is_a_reason_for(changes, level, reasons):
    health = dataclasses.replace(Health(SANDBOX, FINE, FINE, FINE, routing(), ENFORCED), **changes)
    assert (str(health.level), health.reasons) == (level, reasons)
