"""`sandbox-worker psql` and `redis`: the stores' own clients, logged in. No password is on a command line."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from sandbox_worker import constants, variables
from sandbox_worker.addresses import Host, Sentinels, read_parameters
from sandbox_worker.environment import find_store, read_sentinels
from sandbox_worker.errors import ClientMissing, ServiceUnavailable
from sandbox_worker.standard_names import postgres_variables

_DOTENV = Path(".env")
_REDIS_PORT = 6379


def add_clients(commands: Any) -> None:
    """The two commands, among argparse's subcommands; what follows them is the program's own, `--help` too."""
    for name, about, handler in (
        ("psql", "Run psql in the sandbox's schema, with the arguments that follow.", _run_psql),
        ("redis", "Run valkey-cli or redis-cli with the sandbox's login, and the arguments that follow.", _run_redis),
    ):
        command = commands.add_parser(name, help=about, add_help=False, prefix_chars="\0")
        command.add_argument("arguments", nargs=argparse.REMAINDER)
        command.set_defaults(handler=handler)


def redis_arguments(url: str, tls_ca: str = "") -> tuple[list[str], dict[str, str]]:
    """The options of valkey-cli and redis-cli for an address, and the variables with its password."""
    parts, parameters = urlsplit(url), read_parameters(url)
    database = parameters.get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/"))
    where = ["-s", parts.path] if parts.scheme == "unix" else ["-h", parts.hostname or "", "-p", _port(parts.port)]
    options = [*where, *(["-n", database] if database else [])]
    if parts.username:
        options += ["--user", unquote(parts.username)]
    if parts.scheme == "rediss":
        options += ["--tls", *_tls_options(parameters, tls_ca)]
    password = unquote(parts.password or "")
    return options, {"REDISCLI_AUTH": password, "VALKEYCLI_AUTH": password} if password else {}


def _run_psql(options: argparse.Namespace) -> NoReturn:
    url, own = find_store(os.environ, _DOTENV, variables.DATABASE_URL)
    program = _find(("psql",), "the package postgresql-client of Debian and Ubuntu, libpq of Homebrew")
    _become(program, options.arguments, postgres_variables(url, own))


def _run_redis(options: argparse.Namespace) -> NoReturn:
    url, own = find_store(os.environ, _DOTENV, variables.REDIS_URL)
    program = _find(("valkey-cli", "redis-cli"), "the package valkey-tools or redis-tools of Debian and Ubuntu")
    tls_ca = own.get(variables.SANDBOX_TLS_CA, "")
    if sentinels := read_sentinels(url, own):
        url = sentinels.url_of(_ask_sentinels(program, sentinels, tls_ca))
    login, environ = redis_arguments(url, tls_ca)
    _become(program, [*login, *options.arguments], environ)


def _ask_sentinels(program: str, sentinels: Sentinels, tls_ca: str) -> Host:
    """The server that takes writes; `ServiceUnavailable` if none of them names one."""
    question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.master]
    for host in sentinels.hosts:
        where, _ = redis_arguments(f"{urlsplit(sentinels.login_url).scheme}://{host}", tls_ca)
        with suppress(subprocess.TimeoutExpired):
            asked = subprocess.run(
                [program, *where, *question],
                capture_output=True,
                text=True,
                timeout=constants.REDIS_TIMEOUT_S,
                check=False,
            )
            match asked.stdout.split():
                case [name, port] if port.isdigit():
                    return Host(name, int(port))
    raise ServiceUnavailable("Redis", "no Sentinel names the server that takes writes")


def _find(names: tuple[str, ...], packages: str) -> str:
    for name in names:
        if program := shutil.which(name):
            return program
    raise ClientMissing(names, packages)


def _become(program: str, arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    os.execve(program, [program, *arguments], {**os.environ, **environ})  # noqa: S606


def _port(port: int | None) -> str:
    return str(port or _REDIS_PORT)


def _tls_options(parameters: Mapping[str, str], tls_ca: str) -> list[str]:
    """What redis-py calls them in an address."""
    authority = parameters.get("ssl_ca_certs") or tls_ca
    trusts = ["--cacert", authority] if authority else []
    return [*trusts, *(["--insecure"] if parameters.get("ssl_cert_reqs") == "none" else [])]
