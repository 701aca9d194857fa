"""As much of the container as can be checked where no engine is. `make deployment` carries out the Dockerfile."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bot.certificates import write_certificates
from bot.settings import Settings, load_settings
from tests.deployment.compose import MOUNTED, read_compose
from tests.deployment.dockerfile import Stage, read_instructions, read_stages

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "Dockerfile"


@pytest.fixture(scope="module")
def stages():
    return read_stages(DOCKERFILE)


@pytest.fixture(scope="module")
def image(stages):
    assert len(stages) == 2
    return stages[-1]


def test_the_image_runs_our_command_without_a_shell_and_not_as_root(image):
    assert image.words("ENTRYPOINT") == ["sandbox-bot"]
    assert image.words("CMD") == ["run"]
    # A number, for Kubernetes' runAsNonRoot knows no names.
    assert image.of("USER") == ["10001"]
    assert "useradd --uid 10001 " in image.of("RUN")[0]


def test_the_image_is_for_the_python_that_the_project_is_made_for():
    wanted = (REPOSITORY / ".python-version").read_text().strip()
    bases = [value.split()[0] for name, value in read_instructions(DOCKERFILE.read_text()) if name == "FROM"]
    assert bases == [f"python:{wanted}-slim"] * 2


def test_all_that_is_copied_into_the_image_exists(stages):
    copied = [value.split()[:-1] for stage in stages for value in stage.of("COPY") if not value.startswith("--from")]
    sources = [source for sources in copied for source in sources]
    assert "sql" in sources
    assert all((REPOSITORY / source).exists() for source in sources)


def test_the_volume_belongs_to_the_user_who_writes_to_it(image):
    (volume,) = image.of("VOLUME")
    assert f"install --directory --owner bot --mode 700 {volume}" in image.of("RUN")[0]
    assert image.environment["BOT_EMBEDDED__FOLDER"] == volume


def test_the_image_sets_only_settings_that_there_are(image, monkeypatch, tmp_path):
    for name, value in image.environment.items():
        if name.startswith("BOT_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert load_settings().health.listen == "127.0.0.1:8792"


def test_an_instruction_that_nobody_knows_is_refused(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python:3.12-slim\nONBUILD RUN true\n")
    with pytest.raises(ValueError, match="ONBUILD is not understood"):
        read_stages(tmp_path / "Dockerfile")


def test_lines_that_go_on_are_one_instruction_and_comments_are_none():
    stage = Stage("1", read_instructions('# once\nRUN one \\\n    two\nHEALTHCHECK --timeout=1s CMD ["a", "b"]\n'))
    assert stage.of("RUN") == ["one two"]
    assert stage.healthcheck == ["a", "b"]


def make_secrets(folder, *arguments, token="a.bot.token\n"):
    environment = os.environ | {"SANDBOX_BOT": f"{sys.executable} -m bot", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(
        ["sh", REPOSITORY / "deploy" / "secrets.sh", *arguments],
        cwd=folder,
        env=environment,
        input=token,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where what `compose.yaml` mounts lies, made as the files say."""
    folder = tmp_path_factory.mktemp("deployed")
    make_secrets(folder)
    return folder


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory, folder):
    with_tls = tmp_path_factory.mktemp("deployed-with-tls")
    subprocess.run(["cp", "-a", folder / "secrets", with_tls], check=True)
    make_secrets(with_tls, "--tls", token="another\n")
    write_certificates(with_tls / "certificates", ["stores.example.com", "postgres", "valkey", "nats"])
    return with_tls


@pytest.fixture
def bot_settings(monkeypatch, tmp_path):
    """What the composed bot makes of its environment and its files."""

    def load(composed):
        bot = composed.services["bot"]
        for name, value in bot.environment.items():
            monkeypatch.setenv(name, str(bot.secrets.get(value, value)))
        monkeypatch.chdir(tmp_path)
        return load_settings(REPOSITORY / "config.toml")

    return load


@pytest.fixture(scope="module")
def composed(folder):
    return read_compose(folder)


@pytest.fixture(scope="module")
def composed_tls(tls_folder):
    return read_compose(tls_folder, tls=True, SANDBOX_HOST="stores.example.com")


def test_the_composed_bot_gets_a_token_and_three_addresses(bot_settings, composed):
    settings = bot_settings(composed)
    assert settings.require_token() == "a.bot.token"
    assert settings.embedded_stores == frozenset()


def logins(settings):
    """User and password of each address, by where it leads."""
    nats = settings.nats
    addresses = (settings.postgres.dsn, settings.redis.url, nats.url, nats.auth_url, nats.system_url)
    parts = [urlsplit(address.get_secret_value()) for address in addresses]
    return {(part.hostname, part.username): unquote(part.password) for part in parts}


def variables(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_the_stores_get_the_passwords_that_the_bot_logs_in_with(bot_settings, composed, folder):
    settings = bot_settings(composed)
    postgres = variables(folder / "secrets/postgres/postgres.env")
    nats = variables(folder / "secrets/nats/nats.env")
    assert logins(settings) == {
        ("postgres", "sandbox_bot"): postgres["SANDBOX_BOT_PASSWORD"],
        ("valkey", "default"): (folder / "secrets/valkey/valkey.conf").read_text().split()[1],
        ("nats", "sandbox-bot"): nats["SANDBOX_BOT_PASSWORD"],
        ("nats", "sandbox-auth"): nats["SANDBOX_AUTH_PASSWORD"],
        ("nats", "sandbox-system"): nats["SANDBOX_SYSTEM_PASSWORD"],
    }
    assert len(set(logins(settings).values()) | {postgres["POSTGRES_PASSWORD"]}) == 6
    asked = set(re.findall(r"\$(SANDBOX_[A-Z_]+)", (REPOSITORY / "examples/nats.conf").read_text()))
    assert asked == set(nats)


def test_secrets_that_there_are_stay_and_addresses_follow(composed, composed_tls, bot_settings):
    before = logins(bot_settings(composed))
    settings = bot_settings(composed_tls)
    assert logins(settings) == before
    assert settings.require_token() == "a.bot.token"
    assert settings.redis.url.get_secret_value().startswith("rediss://")


def test_the_secrets_are_their_owners_though_a_containers_user_may_read_a_file(folder):
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    files = [path for path in (folder / "secrets").rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_mode & 0o004 for path in files)


@pytest.mark.parametrize("name", [".gitignore", ".dockerignore"])
def test_secrets_get_into_no_commit_and_no_image(name):
    lines = {line.strip("/") for line in (REPOSITORY / name).read_text().splitlines()}
    assert {"secrets", "certificates"} <= lines


def test_all_secrets_and_no_others_are_mounted(composed, folder):
    made = {path for path in (folder / "secrets").rglob("*") if path.is_file()}
    assert set(composed.secrets.values()) == made
    mounted = [path for service in composed.services.values() for path in service.secrets.values()]
    assert sorted(mounted) == sorted(made)


def test_the_composed_stores_and_the_relay_are_published_where_workers_are_told(bot_settings, composed, folder):
    published = ports(read_compose(folder, SANDBOX_LISTEN="10.0.0.3"))
    settings = bot_settings(read_compose(folder, SANDBOX_HOST="stores.example.com"))
    for service, url in told(settings).items():
        port = urlsplit(url).port
        assert urlsplit(url).hostname == "stores.example.com"
        assert published[service] == [f"10.0.0.3:{port}:{port}"]
    assert settings.relay_listen == "0.0.0.0:8791"
    assert all(port.startswith("127.0.0.1:") for found in ports(composed).values() for port in found)


def ports(composed):
    return {name: service.entry["ports"] for name, service in composed.services.items()}


def told(settings):
    """Where developers find each service."""
    workers = settings.workers
    return {
        "bot": settings.relay_address,
        "postgres": workers.postgres,
        "valkey": workers.redis,
        "nats": workers.nats,
    }


def test_with_tls_every_address_asks_for_it_and_each_server_has_its_own_key(bot_settings, composed_tls, tls_folder):
    settings = bot_settings(composed_tls)
    assert [urlsplit(url).scheme for url in told(settings).values()] == ["https", "postgresql", "rediss", "tls"]
    own = (settings.postgres.dsn, settings.redis.url, settings.nats.url, settings.nats.auth_url)
    schemes = [urlsplit(address.get_secret_value()).scheme for address in own]
    assert schemes == ["postgresql", "rediss", "tls", "tls"]
    for address in (settings.workers.postgres, settings.postgres.dsn.get_secret_value()):
        assert address.endswith("?sslmode=verify-full")
    assert not settings.relay.plaintext
    assert settings.tls.ca == tls_folder / "certificates/ca.pem"
    keys = {
        name: {path.name for path in service.secrets.values() if path.suffix == ".key"}
        for name, service in composed_tls.services.items()
    }
    assert keys == {"bot": {"relay.key"}, "postgres": {"postgres.key"}, "valkey": {"redis.key"}, "nats": {"nats.key"}}


def test_tls_wants_to_know_what_developers_call_this_machine(folder):
    with pytest.raises(KeyError, match="set it to what developers call this machine"):
        read_compose(folder, tls=True)


def test_what_a_service_reads_is_mounted_there(composed, composed_tls):
    for service in (*composed.services.values(), *composed_tls.services.values()):
        assert set(re.findall(rf"{MOUNTED}/[\w.]+", json.dumps(service.entry))) == set(service.secrets)


def test_every_composed_service_is_looked_after_and_the_bot_by_its_own_command(image, composed):
    entries = {name: service.entry for name, service in composed.services.items()}
    assert entries["bot"]["healthcheck"]["test"] == ["CMD", *image.healthcheck] == ["CMD", "sandbox-bot", "health"]
    assert all(entry["healthcheck"]["test"] for entry in entries.values())
    assert entries["bot"]["depends_on"] == {name: {"condition": "service_healthy"} for name in entries if name != "bot"}


def test_every_composed_image_has_a_version(composed):
    images = [service.entry["image"] for name, service in composed.services.items() if name != "bot"]
    assert len(images) == 3
    assert all(re.fullmatch(r"([a-z]+/)?[a-z]+:\d+(\.\d+)*(-alpine)?", image) for image in images)


def test_the_relays_port_is_the_one_of_the_settings(image):
    assert image.of("EXPOSE") == [Settings().relay_listen.rpartition(":")[2]]
