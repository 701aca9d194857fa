"""As much of the container as can be checked where no engine is."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from bot.settings import Settings, load_settings

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
COMPOSE = (REPOSITORY / "compose.yaml").read_text()
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in DOCKERFILE.splitlines() if line and line[0].isupper()]


def last_stage():
    starts = [number for number, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM"]
    assert len(starts) == 2
    return dict(INSTRUCTIONS[starts[1] :])


def test_the_image_runs_our_command_without_a_shell_and_not_as_root():
    stage = last_stage()
    assert json.loads(stage["ENTRYPOINT"]) == ["sandbox-bot"]
    assert json.loads(stage["CMD"]) == ["run"]
    assert stage["USER"] == "bot"


def test_the_image_is_for_the_python_that_the_project_is_made_for():
    wanted = (REPOSITORY / ".python-version").read_text().strip()
    bases = [value.split()[0] for name, value in INSTRUCTIONS if name == "FROM"]
    assert bases == [f"python:{wanted}-slim"] * 2


def test_all_that_is_copied_into_the_image_exists():
    copied = [value.split()[:-1] for name, value in INSTRUCTIONS if name == "COPY" and not value.startswith("--from")]
    sources = [source for sources in copied for source in sources]
    assert "sql" in sources
    assert all((REPOSITORY / source).exists() for source in sources)


def test_the_volume_belongs_to_the_user_who_writes_to_it():
    stage = last_stage()
    assert f"install --directory --owner bot --mode 700 {stage['VOLUME']}" in stage["RUN"]
    assert f"BOT_EMBEDDED__FOLDER={stage['VOLUME']}" in stage["ENV"]


def test_the_image_sets_only_settings_that_there_are():
    for section, key in re.findall(r"BOT_([A-Z]+)__([A-Z_]+)=", DOCKERFILE):
        assert key.lower() in type(Settings.model_fields[section.lower()].default).model_fields


REQUIRED = dict.fromkeys(("DISCORD_TOKEN", "STORES_PASSWORD", "NATS_ACCOUNT_SEED", "SANDBOX_ISSUER"), "secret")


def compose(**variables):
    """As `docker compose` reads it: `${NAME}`, `${NAME:-default}`, and `${NAME:?complaint}` if there is none."""

    def value(found):
        name, kind, rest = found.groups()
        if kind != ":-" and not variables.get(name):
            raise KeyError(rest or name)
        return variables.get(name) or rest

    return yaml.safe_load(re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, COMPOSE))["services"]


@pytest.fixture
def bot_settings(monkeypatch, tmp_path):
    """What the composed bot makes of its environment."""

    def load(**variables):
        for name, value in compose(**REQUIRED, **variables)["bot"]["environment"].items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        return load_settings(REPOSITORY / "config.toml")

    return load


@pytest.mark.parametrize("name", REQUIRED)
def test_what_the_containers_need_is_asked_for(name):
    with pytest.raises(KeyError, match=name if name == "STORES_PASSWORD" else "make it with|set DISCORD_TOKEN"):
        compose(**REQUIRED | {name: ""})


def test_the_composed_bot_gets_a_token_and_three_addresses(bot_settings):
    settings = bot_settings()
    assert settings.require_token() == "secret"
    assert settings.embedded_stores == frozenset()


def test_the_composed_stores_and_the_relay_are_published_where_workers_are_told(bot_settings):
    services = compose(**REQUIRED, SANDBOX_LISTEN="10.0.0.3")
    published = {name: service["ports"] for name, service in services.items()}
    settings = bot_settings(SANDBOX_HOST="stores.example.com")
    told = {
        "bot": settings.relay_address,
        "postgres": settings.workers.postgres,
        "valkey": settings.workers.redis,
        "nats": settings.workers.nats,
    }
    for service, url in told.items():
        port = urlsplit(url).port
        assert urlsplit(url).hostname == "stores.example.com"
        assert published[service] == [f"10.0.0.3:{port}:{port}"]
    assert settings.relay_listen == "0.0.0.0:8791"
    for service in compose(**REQUIRED).values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_every_composed_image_has_a_version():
    images = re.findall(r"image: (\S+)", COMPOSE)
    assert len(images) == 3
    assert all(re.fullmatch(r"([a-z]+/)?[a-z]+:\d+(\.\d+)*", image) for image in images)
