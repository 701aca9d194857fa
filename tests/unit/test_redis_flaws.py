"""Which servers count as open to what, by the table of versions."""

import pytest

from bot.stores.redis_flaws import FLAWS, SETTINGS, Server, parse_version


def names(product, version, **settings):
    return {flaw.name for flaw in Server(product, version, settings).flaws}


@pytest.mark.parametrize(
    ("product", "version", "is_open"),
    [
        ("Redis", "6.2.14", True),
        ("Redis", "6.2.18", True),
        ("Redis", "6.2.19", False),
        ("Redis", "7.0.15", True),  # the last of its series
        ("Redis", "7.2.9", True),
        ("Redis", "7.2.10", False),
        ("Redis", "7.4.4", True),
        ("Redis", "7.4.5", False),
        ("Redis", "8.0.2", True),
        ("Redis", "8.0.3", False),
        ("Redis", "8.2.0", False),
        ("Redis", "255.255.255", False),
        ("Valkey", "7.2.9", True),
        ("Valkey", "7.2.10", False),
        ("Valkey", "8.0.3", True),
        ("Valkey", "8.0.4", False),
        ("Valkey", "8.1.2", True),
        ("Valkey", "8.1.3", False),
        ("Valkey", "9.1.2", False),
    ],
)
def test_a_crafted_hyperloglog_is_mended_from_a_version_on(product, version, is_open):
    assert ("CVE-2025-32023" in names(product, version)) is is_open
    assert ("-@hyperloglog" in Server(product, version).withdrawn) is is_open


@pytest.mark.parametrize(
    ("product", "version", "is_open"),
    [
        *(("Redis", version, True) for version in ("6.2.15", "7.0.15", "7.2.5", "7.4.0")),
        *(("Redis", version, False) for version in ("6.2.16", "7.2.6", "7.4.1", "8.0.0")),
        *(("Valkey", version, True) for version in ("7.2.6", "8.0.0")),
        *(("Valkey", version, False) for version in ("7.2.7", "8.0.1", "8.1.0")),
    ],
)
def test_a_long_pattern_is_mended_from_a_version_on(product, version, is_open):
    assert ("CVE-2024-31228" in names(product, version)) is is_open
    assert ({"-hscan", "-sscan", "-zscan"} <= set(Server(product, version).withdrawn)) is is_open


def test_a_flaw_that_came_with_a_version_is_in_none_before_it():
    assert "CVE-2025-62507" not in names("Redis", "8.0.3")
    assert "CVE-2025-62507" in names("Redis", "8.2.2")
    assert "CVE-2025-62507" not in names("Redis", "8.2.3")


def test_a_flaw_behind_a_setting_counts_where_that_is_not_at_its_default():
    assert SETTINGS == ["maxmemory-clients", "tls-port"]
    assert Server("Valkey", "9.1.2", {"maxmemory-clients": "0"}).weakness is None
    assert "CVE-2026-130822" in names("Valkey", "9.1.2", **{"maxmemory-clients": "1000"})
    assert "CVE-2026-130822" in names("Valkey", "9.1.2", **{"maxmemory-clients": "unknown"})
    assert Server("Valkey", "9.1.2").weakness is None


@pytest.mark.parametrize("version", ["", "unstable", "7"])
def test_what_is_no_version_is_older_than_any(version):
    assert parse_version(version) == (0, 0, 0)
    assert "CVE-2025-32023" in names("Redis", version)


def test_a_weakness_names_what_is_open_and_no_more():
    assert Server("Redis", "6.2.19").weakness is None
    weakness = Server("Redis", "7.0.15").weakness
    assert weakness is not None
    assert weakness.startswith("Redis 7.0.15 is open to CVE-2025-32023, CVE-2024-31228, CVE-2025-21605;")
    assert "PFMERGE" not in weakness


def test_every_flaw_of_the_table_is_of_some_server_and_the_newest_have_none_of_them():
    assert all(flaw.redis or flaw.valkey for flaw in FLAWS)
    assert len({flaw.name for flaw in FLAWS}) == len(FLAWS)
    unsafe = dict.fromkeys(SETTINGS, "unknown")
    assert Server("Valkey", "9.1.4", unsafe).flaws == []
    assert Server("Redis", "8.10.1", unsafe).weakness is None


@pytest.mark.parametrize(
    ("product", "version", "is_open"),
    [
        *(("Redis", version, True) for version in ("6.2.19", "7.0.15", "7.2.10", "7.4.5", "8.0.3", "8.2.1")),
        *(("Redis", version, False) for version in ("6.2.20", "7.2.11", "7.4.6", "8.0.4", "8.2.2", "8.4.0")),
        *(("Valkey", version, True) for version in ("7.2.10", "8.0.5", "8.1.3")),
        *(("Valkey", version, False) for version in ("7.2.11", "8.0.6", "8.1.4", "9.0.0", "9.1.2")),
    ],
)
def test_what_scripts_reach_is_mended_from_a_version_on(product, version, is_open):
    server = Server(product, version)
    assert ("CVE-2025-49844" in (server.script_weakness or "")) is is_open
    assert "CVE-2025-49844" not in (server.weakness or "")  # without scripts nobody reaches it


def test_a_script_keeps_to_its_keys_and_globals_from_7_on():
    assert not Server("Redis", "6.2.20").keeps_scripts_apart
    assert Server("Redis", "7.0.15").keeps_scripts_apart
    assert Server("Valkey", "9.1.2").keeps_scripts_apart


def test_with_a_database_of_their_own_users_keep_commands_whose_keys_are_not_checked():
    server = Server("Valkey", "9.1.2")
    assert "-pfmerge" in server.withdrawn
    assert "-pfmerge" not in server.withdrawn_in_databases
    assert "-@hyperloglog" in Server("Valkey", "8.0.3").withdrawn_in_databases
