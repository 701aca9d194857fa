import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from bot.settings import Settings, SettingsError, load_settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    import os

    for name in list(os.environ):
        if name.startswith("BOT_") or name in {"DISCORD_TOKEN", "DATABASE_URL", "REDIS_URL", "NATS_URL"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text):
    path = Path("config.toml")
    path.write_text(text)
    return path


def test_nothing_configured_gives_the_defaults_on_embedded_stores():
    settings = load_settings()
    assert settings.embedded_stores == {"postgres", "redis", "nats"}
    assert settings.sandboxes.default_ttl == timedelta(hours=24)


def test_the_shipped_config_holds_every_knob_at_its_default():
    shipped = REPOSITORY / "config.toml"
    assert load_settings(shipped) == Settings()
    written = tomllib.loads(shipped.read_text())
    secret = {("discord", "token"), ("postgres", "dsn"), ("redis", "url"), ("nats", "url")}
    secret |= {("nats", "auth_url"), ("nats", "system_url"), ("nats", "account_seed")}
    optional = {("discord", "notice_channel")}
    for section, field in Settings.model_fields.items():
        for key in type(field.default).model_fields:
            assert key in written.get(section, {}) or (section, key) in secret | optional, f"{section}.{key}"
            if (section, key) in optional:
                assert f"# {key} =" in shipped.read_text()


def test_the_environment_wins_over_dotenv_and_that_over_the_file(monkeypatch):
    write('[log]\nlevel = "DEBUG"\n[sandboxes]\ngrace = "2h"\nmax_per_owner = 7\n')
    Path(".env").write_text("BOT_LOG__LEVEL=WARNING\nBOT_SANDBOXES__GRACE=3h\n")
    monkeypatch.setenv("BOT_LOG__LEVEL", "ERROR")
    settings = load_settings()
    assert settings.log.level == "ERROR"
    assert settings.sandboxes.grace == timedelta(hours=3)
    assert settings.sandboxes.max_per_owner == 7


def test_the_common_names_are_understood(monkeypatch):
    monkeypatch.setenv("DISCORD_TOKEN", "a.b.c")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@h/d")
    Path(".env").write_text("REDIS_URL=redis://h\nNATS_URL=nats://h\n")
    settings = load_settings()
    assert settings.require_token() == "a.b.c"
    assert settings.embedded_stores == frozenset()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[discord]\ntokn = 'x'", "discord.tokn.*discord.token"),
        ("[sandbox]\nx = 1", "sandbox:.*sandboxes"),
        ("[sandboxes]\nmax_per_owner = 'many'", "sandboxes.max_per_owner"),
        ("[sandboxes]\ngrace = 5", "sandboxes.grace.*90s"),
        ("[sandboxes]\ngrace = '0s'", "sandboxes.grace"),
        ("[sandboxes]\ndefault_ttl = '200h'", "default_ttl"),
        ("[discord]\nadmins = ['me']", "discord.admins.*17 to 20"),
        ("[discord]\napi_base = 'discord.com'", "discord.api_base"),
        ("[routing]\nunbound_subject = 'sandbox.x'", "routing.unbound_subject"),
        ("[log\n", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named_on_one_line(text, named):
    with pytest.raises(SettingsError, match=named) as caught:
        load_settings(write(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["BOT_DISCORD__TOKN", "BOT_FOO__BAR", "BOT_TOKEN", "BOT_DISCORD"])
def test_an_unknown_variable_is_named(monkeypatch, name):
    monkeypatch.setenv(name, "very-secret")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name.rpartition("_")[2].lower() in str(caught.value).lower()
    assert "very-secret" not in str(caught.value)


def test_admins_come_as_a_list_in_the_environment_too(monkeypatch):
    for text in ("123456789012345678,123456789012345679", '["123456789012345678", 123456789012345679]'):
        monkeypatch.setenv("BOT_DISCORD__ADMINS", text)
        assert load_settings().discord.admins == {123456789012345678, 123456789012345679}


def test_a_missing_token_says_where_it_comes_from():
    with pytest.raises(SettingsError, match="DISCORD_TOKEN"):
        load_settings().require_token()


def test_a_missing_file_is_named(monkeypatch):
    with pytest.raises(SettingsError, match="nowhere"):
        load_settings(Path("nowhere.toml"))
    monkeypatch.setenv("BOT_CONFIG", "elsewhere.toml")
    with pytest.raises(SettingsError, match="elsewhere"):
        load_settings()


def test_no_secret_shows_in_a_representation(monkeypatch):
    monkeypatch.setenv("DISCORD_TOKEN", "very-secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:very-secret@h/d")
    settings = load_settings()
    assert "very-secret" not in repr(settings) + str(settings)
    assert "very-secret" in settings.secrets()
