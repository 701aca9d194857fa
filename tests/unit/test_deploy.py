"""What is in `deploy/` for systemd and Kubernetes agrees with the settings. `make deployment` tries the rest."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from bot import constants
from bot.cli.runtime import EX_CONFIG
from bot.secret_files import SUFFIX
from bot.settings import COMMON_NAMES, load_settings

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
PAGE = (REPOSITORY / "docs" / "deploy.md").read_text()
HEALTH_PORT = 8792
SECRETS = {
    "discord_token": "a.bot.token",
    "database_url": "postgresql://sandbox_bot:secret@postgres/sandboxes",
    "redis_url": "rediss://default:secret@valkey:6379/0",
    "nats_url": "tls://sandbox-bot:secret@nats:4222",
    "nats_auth_url": "tls://sandbox-auth:secret@nats:4222",
    "nats_system_url": "tls://sandbox-system:secret@nats:4222",
    "nats_account_seed": "SAANTLOJKRVWCOJGKXYH6CVK7LMKJQ4TGTI7ZYKBPQ2TJNYXZC5BZ6RHDU",
}


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Settings from an environment alone, with files that stand in for those that are mounted under a folder."""

    def load(environment, mounted):
        others = {name.removesuffix(SUFFIX) for name in environment if not name.startswith("BOT_")}
        assert others <= set(COMMON_NAMES), "settings take an unknown variable for somebody else's"
        for name, value in environment.items():
            monkeypatch.setenv(name, value.replace(mounted, str(tmp_path)))
        for name, text in SECRETS.items():
            (tmp_path / name).write_text(text + "\n")
        monkeypatch.chdir(tmp_path)
        return load_settings()

    return load


class Unit(configparser.ConfigParser):
    """A unit file; what may stand several times is a list of lines."""

    def __init__(self, name):
        super().__init__(strict=False, interpolation=None, delimiters="=", comment_prefixes="#")
        self.text = (DEPLOY / name).read_text()
        self.read_string(self.text)

    def optionxform(self, optionstr):
        return optionstr

    def all(self, key):
        return re.findall(rf"^{key}=(.*)$", self.text, re.MULTILINE)


@pytest.fixture(scope="module")
def service():
    return Unit("sandbox-bot.service")


@pytest.fixture(scope="module")
def socket():
    return Unit("sandbox-bot.socket")


@pytest.fixture
def unit_settings(service, load, tmp_path):
    environment = dict(line.split("=", 1) for line in service.all("Environment"))
    (tmp_path / "config.toml").write_text((REPOSITORY / "config.toml").read_text())
    environment["BOT_CONFIG"] = environment["BOT_CONFIG"].replace("/etc/sandbox-bot", "%d")
    return load(environment, "%d")


def test_the_unit_gets_the_token_as_a_credential_and_says_where_all_lies(service, unit_settings):
    assert unit_settings.require_token() == "a.bot.token"
    (name, _, path) = service["Service"]["LoadCredential"].partition(":")
    assert (name, path) == ("discord_token", "/etc/sandbox-bot/discord_token")
    assert unit_settings.embedded_stores == {"postgres", "redis", "nats"}
    state = "/var/lib/" + service["Service"]["StateDirectory"]
    assert str(unit_settings.embedded.folder).startswith(f"{state}/")
    assert service["Service"]["WorkingDirectory"] == state


def test_the_units_relay_serves_on_systemds_one_socket_where_developers_are_told(socket, unit_settings):
    assert unit_settings.relay_listen == "systemd"
    (listens,) = socket.all("ListenStream")
    assert listens == constants.RELAY_LISTEN == urlsplit(unit_settings.relay_address).netloc


def test_the_unit_stays_down_when_the_configuration_is_wrong_and_may_take_its_time_to_stop(service):
    assert service["Service"]["RestartPreventExitStatus"] == str(EX_CONFIG)
    assert int(service["Service"]["TimeoutStopSec"].removesuffix("s")) > 2 * constants.STOP_WITHIN_S


def test_the_unit_is_told_of_the_health_port(unit_settings):
    assert unit_settings.health.listen == f"127.0.0.1:{HEALTH_PORT}"


def objects(name):
    """By kind and name."""
    documents = yaml.safe_load_all((DEPLOY / name).read_text())
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


@pytest.fixture(scope="module")
def bot():
    return objects("kubernetes.yaml")


@pytest.fixture(scope="module")
def stores():
    return objects("kubernetes-stores.yaml")


@pytest.fixture
def pod_settings(bot, load, tmp_path, monkeypatch):
    from bot.certificates import write_certificates

    write_certificates(tmp_path, ["localhost"])
    return load(bot["ConfigMap", "bot"]["data"], "/run/secrets/bot")


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def workloads(found):
    return [one for (kind, _), one in found.items() if kind in ("Deployment", "StatefulSet")]


def test_a_pod_gets_a_token_and_three_addresses_from_files(pod_settings):
    assert pod_settings.require_token() == "a.bot.token"
    assert pod_settings.embedded_stores == frozenset()
    assert pod_settings.tls.ca is not None


def test_the_ports_are_those_that_the_pod_listens_on_and_the_probes_ask(bot, pod_settings):
    (container,) = pod_of(bot["Deployment", "bot"])["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listens = {"relay": pod_settings.relay_listen, "health": pod_settings.health.listen}
    assert {name: f"0.0.0.0:{port}" for name, port in ports.items()} == listens
    assert ports == {"relay": int(constants.RELAY_LISTEN.rpartition(":")[2]), "health": HEALTH_PORT}
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"health"}
    assert [probe["path"] for probe in probes.values()] == ["/livez", "/livez", "/readyz"]


def test_the_ingress_is_what_developers_are_told(bot, pod_settings):
    ingress = bot["Ingress", "relay"]["spec"]
    (host,) = ingress["tls"][0]["hosts"]
    assert pod_settings.relay_address == f"https://{host}"
    assert ingress["rules"][0]["host"] == host
    backend = ingress["rules"][0]["http"]["paths"][0]["backend"]["service"]
    service = bot["Service", backend["name"]]["spec"]
    assert backend["port"]["name"] in {port["name"] for port in service["ports"]}


def test_a_standby_is_there_before_a_bot_stops_and_always_one_of_them(bot):
    spec = bot["Deployment", "bot"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert bot["PodDisruptionBudget", "bot"]["spec"]["minAvailable"] == 1
    assert pod_of(bot["Deployment", "bot"])["terminationGracePeriodSeconds"] > constants.STOP_WITHIN_S


def test_every_selector_finds_its_pods(bot, stores):
    found = bot | stores
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in workloads(found)]
    for one in found.values():
        selector = one.get("spec", {}).get("selector") or one.get("spec", {}).get("podSelector")
        if selector:
            assert selector.get("matchLabels", selector) in pods


def test_no_container_is_root_or_may_become_it_or_writes_into_its_image(bot, stores):
    for workload in workloads(bot | stores):
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            confined = container["securityContext"]
            assert not confined["allowPrivilegeEscalation"]
            assert confined["readOnlyRootFilesystem"]
            assert confined["capabilities"] == {"drop": ["ALL"]}


def test_developers_are_told_the_stores_ports_and_to_use_tls(stores, pod_settings):
    workers = pod_settings.workers
    for name, address in (("postgres", workers.postgres), ("valkey", workers.redis), ("nats", workers.nats)):
        (port,) = stores["Service", name]["spec"]["ports"]
        (container,) = pod_of(stores["StatefulSet", name])["containers"]
        assert urlsplit(address).port == port["port"] == container["ports"][0]["containerPort"]
        assert urlsplit(address).scheme in ("rediss", "tls") or address.endswith("sslmode=verify-full")
        assert [container["ports"][0]["name"]] == [port["targetPort"]]


def test_every_secret_and_configuration_that_is_mounted_is_made_on_the_page(bot, stores):
    for workload in workloads(bot | stores):
        for volume in pod_of(workload)["volumes"]:
            if secret := volume.get("secret"):
                assert f"kubectl create secret generic {secret['secretName']} " in PAGE
            if configuration := volume.get("configMap"):
                assert f"kubectl create configmap {configuration['name']} " in PAGE


def test_kubernetes_runs_the_images_that_compose_does(stores):
    composed = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    for name in ("postgres", "valkey", "nats"):
        (container,) = pod_of(stores["StatefulSet", name])["containers"]
        assert container["image"] == composed[name]["image"]


def test_every_file_of_deploy_is_on_the_page():
    files = {path.name for path in DEPLOY.iterdir() if path.suffix in (".yaml", ".service", ".socket", ".sh")}
    assert [name for name in sorted(files) if name not in PAGE] == []
