import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from bot.settings import COMMON_NAMES, Settings, SettingsError, load_settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    import os

    for name in list(os.environ):
        if name.startswith("BOT_") or name.removesuffix("_FILE") in COMMON_NAMES:
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
    secret |= {("nats", "auth_url"), ("nats", "system_url"), ("nats", "account_seed"), ("nats", "nkey_seed")}
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


def test_shards_are_named_in_the_environment_too(monkeypatch):
    monkeypatch.setenv("BOT_DISCORD__SHARD_COUNT", "4")
    monkeypatch.setenv("BOT_DISCORD__SHARD_IDS", "2,3")
    discord = load_settings().discord
    assert (discord.shard_count, discord.shard_ids) == (4, (2, 3))


def test_levels_of_modules_are_named_in_the_environment_too(monkeypatch):
    monkeypatch.setenv("BOT_LOG__LEVELS", "bot.relay=DEBUG, discord=ERROR")
    assert load_settings().log.levels == {"bot.relay": "DEBUG", "discord": "ERROR"}
    monkeypatch.setenv("BOT_LOG__LEVELS", "bot.relay")
    with pytest.raises(SettingsError, match=r"^log.levels.bot.relay: .*'DEBUG'"):
        load_settings()


def test_nats_is_logged_in_to_in_one_way(monkeypatch):
    seed = "SUAOY5JZ2WJKVR4UO2KJ2P3SW6FZFNWEOIMAXF4WZEUNVQXXUOKGM55CYE"
    monkeypatch.setenv("NATS_NKEY_SEED", seed)
    with pytest.raises(SettingsError, match=r"^nats: the embedded server .* set NATS_URL"):
        load_settings()
    monkeypatch.setenv("NATS_URL", "nats://u:hunter22@h")
    with pytest.raises(SettingsError, match="NATS_URL with a user, NATS_CREDENTIALS and NATS_NKEY_SEED are different"):
        load_settings()
    monkeypatch.setenv("NATS_URL", "nats://h")
    assert seed in load_settings().secrets()
    for wrong in (seed[:-1], seed.lower(), "SAAOY5JZ"):
        monkeypatch.setenv("NATS_NKEY_SEED", wrong)
        with pytest.raises(SettingsError, match=r"^nats.nkey_seed: it is no seed of a NATS user") as caught:
            load_settings()
        assert wrong not in str(caught.value)
    monkeypatch.delenv("NATS_NKEY_SEED")
    credentials = Path("bot.creds")
    monkeypatch.setenv("NATS_CREDENTIALS", str(credentials))
    with pytest.raises(SettingsError, match=r"nats.credentials: bot.creds cannot be read .No such file"):
        load_settings()
    credentials.write_text("-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n")
    with pytest.raises(SettingsError, match=r"nats.credentials: bot.creds is no file of NATS's credentials"):
        load_settings()


def test_replicas_are_for_a_cluster():
    with pytest.raises(SettingsError, match=r"^nats: the embedded server is one"):
        load_settings(write("[nats]\nstream_replicas = 3"))


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
        ("[discord]\napi_base = 'http://127.0.0.1:port'", "discord.api_base"),
        ("[discord]\napi_base = 'http://discord.example/a b'", "discord.api_base"),
        ("[relay]\naddress = 'https://relay.example?a=1'", "relay.address.*without a path"),
        ("[workers]\nnats = 'tls://a:4222,tls://u:p@b:4222'", "workers.nats.*without user and password"),
        ("[workers]\nredis = 'redis://cache?protocol=3&socket_timeout=5'", "workers.redis.*only one fits into a .env"),
        ("[workers]\npostgres = 'postgresql://db/#1'", "workers.postgres.*only as %XX"),
        ("[workers]\nlisten = 'stores.example.com'", "workers.listen.*10.0.0.3"),
        ("[workers]\nhost = 'stores.example.com:5432'", "workers.host.*without a port"),
        ("[workers]\nlisten = '10.0.0.3'", "workers: listen = 10.0.0.3 can be reached.*sandbox-bot certificates"),
        ("[workers]\nlisten = '0.0.0.0'\nplaintext = true", "workers: host is missing; nobody reaches 0.0.0.0"),
        ("[discord]\nprivileged_intents = ['everything']", "discord.privileged_intents"),
        ("[discord]\nshard_ids = [0]", "discord: .*shard_count"),
        ("[discord]\nshard_ids = [2]\nshard_count = 2", "discord: .*shard_count"),
        ("[discord]\nshard_ids = [-1]\nshard_count = 2", "discord.shard_ids"),
        ("[tls]\nca = 'nowhere.pem'", "tls.ca: no certificate can be read there .No such file"),
        ("[tls]\nca = 'config.toml'", "tls.ca: no certificate can be read there"),
        ("discord = 'x'", r"discord: .*\[discord\]"),
        ("[log\n", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named_on_one_line(text, named):
    with pytest.raises(SettingsError, match=named) as caught:
        load_settings(write(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["BOT_DISCORD__TOKN", "BOT_FOO__BAR", "BOT_TOKEN", "BOT_DISCORD", "BOT_DISCORD__TOKEN__X"]
)
def test_an_unknown_variable_is_named(monkeypatch, name):
    monkeypatch.setenv(name, "very-secret")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name.rpartition("_")[2].lower() in str(caught.value).lower()
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DISCORD_TOKEN", "hunter22 and more"),
        ("DISCORD_TOKEN", "hunter22\nX-Header: y"),
        ("DATABASE_URL", "hunter22"),
        ("DATABASE_URL", "mysql://u:hunter22@h/d"),
        ("DATABASE_URL", "postgresql://u:hunter22@h:99999/d"),
        ("DATABASE_URL", "postgresql://u:hunter22@[::1/d"),
        ("DATABASE_URL", "postgresql://u:hunter22/x@h:5432/d"),
        ("REDIS_URL", "redis://:hunter22@[::1"),
        ("REDIS_URL", "redis://:hunter22@h:port"),
        ("NATS_URL", "http://u:hunter22@h"),
        ("NATS_URL", "nats://u:hunter22@h:port"),
        ("NATS_URL", "nats://u:hunter22@h:4222,http://u:hunter22@i:4222"),
        ("NATS_URL", "nats://u:hunter22@h:4222,i:4222"),
        ("NATS_URL", "nats://u:hunter22@h:4222,nats://v:hunter22@i:4222"),
        ("NATS_URL", "nats://u:hunter22@h:4222,ws://u:hunter22@i:4222"),
    ],
)
def test_a_secret_that_cannot_be_one_is_named_and_not_repeated(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()
    assert "hunter22" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://u:p@h,i:5433/d?target_session_attrs=primary"),
        ("DATABASE_URL", "postgresql:///d?host=/run/postgresql"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("REDIS_URL", "rediss://h"),
        ("REDIS_URL", "redis+sentinel://u:p@a:26379,b/group/0"),
        ("NATS_URL", "tls://u:p%2Fq@[::1]:4222"),
        ("NATS_URL", "tls://u:p%2Fq@h:4222,tls://u:p%2Fq@i:4222,nats://j"),
    ],
)
def test_what_a_driver_can_read_is_an_address(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert len(load_settings().embedded_stores) == 2


@pytest.mark.parametrize(
    ("content", "named"), [(b"BOT_LOG__LEVEL=\xff", "UTF-8"), (b"BOT_LOG__LEVEL=INFO\nhunter22 hunter22\n", "line 2")]
)
def test_a_dotenv_that_cannot_be_read_is_named(content, named):
    Path(".env").write_bytes(content)
    with pytest.raises(SettingsError, match=rf"\.env: .*{named}") as caught:
        load_settings()
    assert "hunter22" not in str(caught.value)


def test_files_may_begin_with_a_byte_order_mark():
    write('\ufeff[log]\nlevel = "DEBUG"\n')
    Path(".env").write_text("\ufeffBOT_SANDBOXES__GRACE=3h\n")
    settings = load_settings()
    assert (settings.log.level, settings.sandboxes.grace) == ("DEBUG", timedelta(hours=3))


def test_intents_come_as_a_list_in_the_environment_too(monkeypatch):
    for text in ("members,presences", '["members", "presences"]'):
        monkeypatch.setenv("BOT_DISCORD__PRIVILEGED_INTENTS", text)
        assert load_settings().discord.privileged_intents == ("members", "presences")
    monkeypatch.setenv("BOT_DISCORD__PRIVILEGED_INTENTS", "")
    assert load_settings().discord.privileged_intents == ()


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


def test_secrets_are_known_as_they_are_used(monkeypatch):
    monkeypatch.setenv("DISCORD_TOKEN", " token\n")
    monkeypatch.setenv("REDIS_URL", "redis://:p%40ss@h")
    monkeypatch.setenv("NATS_URL", "nats://to%40ken@h,nats://h")
    monkeypatch.setenv(
        "DATABASE_URL", "postgresql://u@h1,h2/d?sslmode=require&password=db%2Csecret&sslpassword=of-the-key"
    )
    found = set(load_settings().secrets())
    assert {"token", "p%40ss", "p@ss", "to@ken", "db,secret", "of-the-key"} <= found
    monkeypatch.setenv("REDIS_URL", "redis://h?password=in-redis&db=1")
    assert "in-redis" in load_settings().secrets()


@pytest.mark.parametrize(
    ("text", "key", "variable"),
    [
        ('[discord]\ntoken = "hunter22"', "discord.token", "DISCORD_TOKEN"),
        ('[postgres]\ndsn = "postgresql://u:hunter22@h/d"', "postgres.dsn", "DATABASE_URL"),
        ('[redis]\nurl = "redis://u:hunter22@h"', "redis.url", "REDIS_URL"),
        ('[nats]\nurl = "nats://u:hunter22@h"', "nats.url", "NATS_URL"),
        ('[nats]\nauth_url = "nats://u:hunter22@h"', "nats.auth_url", "NATS_AUTH_URL"),
        ('[nats]\naccount_seed = "hunter22"', "nats.account_seed", "NATS_ACCOUNT_SEED"),
        ('[nats]\nnkey_seed = "hunter22"', "nats.nkey_seed", "NATS_NKEY_SEED"),
        ("[discord]\ntoken = 22", "discord.token", "DISCORD_TOKEN"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_its_variable_named(text, key, variable, monkeypatch):
    monkeypatch.setenv(variable, "t")  # that it is not even used is no reason to let it lie there
    with pytest.raises(SettingsError, match=rf"^{key}: .*config.toml.* {variable} ") as caught:
        load_settings(write(text))
    assert "22" not in str(caught.value)


def test_a_file_may_say_that_a_store_is_embedded():
    assert load_settings(write('[postgres]\ndsn = "embedded"\n[discord]\ntoken = ""')) == Settings()


def test_an_embedded_server_has_databases_and_scripts_for_sandboxes_and_another_one_only_by_order(monkeypatch):
    assert load_settings().redis_databases == range(1, 10_000)
    assert load_settings().redis_scripts is None  # if the server has no flaw that they reach
    monkeypatch.setenv("REDIS_URL", "redis://h")
    assert load_settings().redis_databases is None
    assert load_settings().redis_scripts is False
    write('[redis]\ndatabases = "100-199"\nscripts = true\n')
    assert load_settings().redis_databases == range(100, 200)
    assert load_settings().redis_scripts is True


@pytest.mark.parametrize("value", ["100", "100-", "-1", "a-b", "9-1", "1-2-3"])
def test_databases_are_written_as_two_numbers(monkeypatch, value):
    monkeypatch.setenv("BOT_REDIS__DATABASES", value)
    with pytest.raises(SettingsError, match=r"redis\.databases: write two numbers .* like 100-199"):
        load_settings()


@pytest.mark.parametrize("url", ["redis://h/7", "unix:///run/valkey.sock?db=7", "redis+sentinel://h/group/7"])
def test_the_bots_own_database_is_none_of_the_sandboxes(monkeypatch, url):
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("BOT_REDIS__DATABASES", "0-9")
    with pytest.raises(SettingsError, match=r"redis: the bot's own database"):
        load_settings()


@pytest.mark.parametrize(
    "variable", ["DISCORD_TOKEN", "DATABASE_URL", "REDIS_URL", "NATS_URL", "NATS_ACCOUNT_SEED", "BOT_NATS__AUTH_URL"]
)
def test_every_secret_may_stand_in_a_file(monkeypatch, tmp_path, variable):
    secret = tmp_path / "secret"
    text = {"DISCORD_TOKEN": "a.b.c", "DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h"}.get(variable)
    secret.write_text((text or "nats://h") + "\n")
    monkeypatch.setenv(f"{variable}_FILE", str(secret))
    section, _, key = COMMON_NAMES.get(variable, variable).removeprefix("BOT_").lower().partition("__")
    assert getattr(getattr(load_settings(), section), key).get_secret_value() == (text or "nats://h")


def test_a_secret_in_the_environment_and_in_a_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("hunter22")
    Path(".env").write_text("DISCORD_TOKEN=hunter23\n")
    monkeypatch.setenv("BOT_DISCORD__TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == "DISCORD_TOKEN: it is set, and DISCORD_TOKEN_FILE too; keep one of them."
    Path(".env").write_text("DISCORD_TOKEN=\n")  # as in the example: nothing is set
    assert load_settings().require_token() == "hunter22"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read: No such file"), (b"\xff", "UTF-8"), (b"\n", "is empty")]
)
def test_a_file_of_a_secret_that_cannot_be_read_is_named(monkeypatch, tmp_path, content, reason):
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("DATABASE_URL_FILE", str(path))
    with pytest.raises(SettingsError, match=f"^DATABASE_URL_FILE: {path} .*{reason}"):
        load_settings()


def test_what_is_no_secret_has_no_file(monkeypatch):
    monkeypatch.setenv("BOT_LOG__LEVEL_FILE", "/level")
    with pytest.raises(SettingsError, match=r"log\.level_file: there is no such setting"):
        load_settings()


def test_the_sentinels_password_is_a_secret_too(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis+sentinel://u:p@a/group/0?sentinel_password=hunter22")
    assert "hunter22" in load_settings().secrets()
