"""What the bot says stays within what Discord takes."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from bot.sandboxes.access.isolation import Isolation
from bot.sandboxes.health import GuildPresence, GuildRouting, Health, RoutingHealth, StoreHealth
from bot.sandboxes.model import AuditEntry, Sandbox, SandboxStatus
from bot.ui import listings, replies

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
GUILDS = tuple(range(10**17, 10**17 + 100))
SANDBOX = Sandbox(
    uuid4(),
    "a" * 40,
    10**17,
    "*" * 200,
    SandboxStatus.RUNNING,
    "sandbox_x",
    NOW,
    NOW + timedelta(1),
    NOW,
    GUILDS,
    metadata={"tags": {f"{number}" * 32: "*" * 64 for number in range(10)}},
)


def require_sendable(embed):
    assert len(embed) <= 6000
    assert len(embed.description or "") <= 4096
    assert len(embed.fields) <= 25
    assert all(0 < len(field.value) <= 1024 and 0 < len(field.name) <= 256 for field in embed.fields)


def test_a_status_with_many_servers_of_long_names_can_be_sent():
    store = StoreHealth(False, "x" * 300, {})
    presence = GuildPresence(True, "*" * 100, ("*" * 100,) * 500)
    routing = RoutingHealth(
        tuple(GuildRouting(guild, presence, False) for guild in GUILDS), NOW, None, ("*" * 300,) * 9
    )
    isolation = Isolation()
    embed = replies.status(Health(SANDBOX, store, store, store, routing, isolation), isolation)
    require_sendable(embed)
    assert next(field.value for field in embed.fields if field.name == "Servers").endswith("…")
    few = RoutingHealth((GuildRouting(GUILDS[0], GuildPresence(True, "Lab")), GuildRouting(GUILDS[1])))
    embed = replies.status(Health(SANDBOX, store, store, store, few), isolation)
    assert next(field.value for field in embed.fields if field.name == "Servers") == f"Lab, {GUILDS[1]}"


def test_a_page_of_a_list_can_be_sent():
    require_sendable(listings.sandboxes([SANDBOX] * 10, 10**6, own=False, filtered=True))


def test_an_audit_of_long_entries_shows_the_newest_that_fit():
    entries = [
        AuditEntry(number, SANDBOX.id, "sandbox_created", None, {"name": "_" * 500, "other": ["x"] * 90}, NOW)
        for number in range(50)
    ]
    embed = listings.audit(SANDBOX, entries)
    require_sendable(embed)
    assert embed.description.count("\n") > 5
