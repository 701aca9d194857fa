"""As much of the container as can be checked where no engine is."""

import json
import re
from pathlib import Path

from bot.settings import COMMON_NAMES, Settings, load_settings

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


def test_the_composed_bot_gets_a_token_and_three_addresses(monkeypatch, tmp_path):
    environment = dict(re.findall(rf"^ +({'|'.join(COMMON_NAMES)}): (.+)$", COMPOSE, re.MULTILINE))
    for name, value in environment.items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+(:\?[^}]*)?\}", "secret", value))
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.require_token() == "secret"
    assert settings.embedded_stores == frozenset()


def test_every_composed_image_has_a_version():
    images = re.findall(r"image: (\S+)", COMPOSE)
    assert len(images) == 3
    assert all(re.fullmatch(r"([a-z]+/)?[a-z]+:\d+(\.\d+)*", image) for image in images)
