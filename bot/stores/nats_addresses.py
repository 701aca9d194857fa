"""What the addresses of NATS say, for its client: which servers there are, how to log in, and whom to trust."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nats.errors

from bot.nats_credentials import Credentials, WrongCredentials
from bot.stores.urls import AUTHORITY
from sandbox_worker.addresses import read_parameters, split_addresses
from sandbox_worker.tls import client_context, trusting_alone


@dataclass(frozen=True, slots=True)
class NatsLogin:
    """What one logs in with where no address has a login: a file of credentials, or the seed of an NKey."""

    credentials: Path | None = None
    nkey_seed: str = field(default="", repr=False)


NO_LOGIN = NatsLogin()


def servers_in(urls: str) -> list[str]:
    """The address of each, without login and parameters."""
    parts = map(urlsplit, split_addresses(urls))
    return [one._replace(netloc=one.netloc.rpartition("@")[2], query="").geturl() for one in parts]


def login_options(urls: str, login: NatsLogin = NO_LOGIN) -> dict[str, Any]:
    """How nats-py's `connect` is told to log in, on all servers alike, also those that it hears of later."""
    if login.credentials is not None:
        return _credentials(login.credentials)
    if login.nkey_seed:
        return {"nkeys_seed_str": login.nkey_seed}
    named = next((parts for parts in map(urlsplit, split_addresses(urls)) if parts.username is not None), None)
    if named is None:
        return {}
    user = unquote(named.username or "")
    return {"token": user} if named.password is None else {"user": user, "password": unquote(named.password)}


def tls_of(urls: str) -> ssl.SSLContext | None:
    """None for the authorities that the system trusts. The parameters are called as redis-py calls them."""
    parameters = {name: value for url in split_addresses(urls) for name, value in read_parameters(url).items()}
    if not (authority := parameters.get(AUTHORITY)):
        return None
    if parameters.get("ssl_check_hostname", "").lower() == "false":
        return trusting_alone(authority)
    return client_context(authority)


def _credentials(file: Path) -> dict[str, Any]:
    """Read at each login, so that the file may be replaced. nats-py itself would look for the end of one that is no
    such file for ever."""

    def read() -> Credentials:
        try:
            return Credentials.read(file)
        except WrongCredentials as error:  # which nats-py waits out like any failed login
            raise nats.errors.Error(str(error)) from error

    return {"user_jwt_cb": lambda: read().jwt.encode(), "signature_cb": lambda nonce: read().sign(nonce)}
