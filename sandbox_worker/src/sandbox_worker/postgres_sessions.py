"""Sessions of PostgreSQL, on whichever of the address's hosts takes writes now."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any

import asyncpg

from sandbox_worker import constants, variables
from sandbox_worker.addresses import POSTGRES_PORT, Host, read_parameters, split_hosts
from sandbox_worker.environment import Environment
from sandbox_worker.errors import CertificateRefused, SandboxEnded, WrongEnvironment
from sandbox_worker.trust import MEND

if TYPE_CHECKING:
    Session = asyncpg.Connection[asyncpg.Record]

_REFUSED = asyncpg.InvalidAuthorizationSpecificationError
_NOT_THERE = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
_AUTHORITY_MISSING = "root certificate"


class PostgresSessions:
    """Of several hosts each has its own time to answer, and the one of the last session is asked first."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._hosts: list[Host] = []

    async def connect(self, *arguments: Any, **options: Any) -> Session:
        """`SandboxEnded` if every host refuses the sandbox's own login, `CertificateRefused`, or asyncpg's own errors:
        what `asyncpg.create_pool` takes for its `connect`."""
        try:
            return await self._connect(str(arguments[0]), options)
        except _REFUSED as error:
            if not self._environment.has_own_database:
                raise
            raise SandboxEnded(self._environment.name, "refused") from error
        except ssl.SSLCertVerificationError as error:
            raise CertificateRefused("PostgreSQL", f"{error.verify_message}; {MEND}") from error
        except asyncpg.ClientConfigurationError as error:
            if _AUTHORITY_MISSING not in str(error):
                raise
            raise WrongEnvironment(f"Nothing says by what PostgreSQL's certificate is verified: {MEND}.") from error

    async def _connect(self, url: str, options: dict[str, Any]) -> Session:
        self._hosts = self._hosts or split_hosts(url, POSTGRES_PORT)
        if len(self._hosts) == 1:
            return await asyncpg.connect(url, **options)
        options |= {"timeout": constants.PG_HOST_TIMEOUT_S, **_target(url)}
        failures: list[Exception] = []
        for host in tuple(self._hosts):
            try:
                return await asyncpg.connect(url, host=host.name, port=host.port, **options)
            except (_REFUSED, *_NOT_THERE) as error:
                failures.append(error)
                self._hosts.remove(host)
                self._hosts.append(host)
        raise _most_telling(failures)


def _target(url: str) -> dict[str, str]:
    """The host that takes writes, unless somebody has said otherwise."""
    is_said = "target_session_attrs" in read_parameters(url) or variables.PGTARGETSESSIONATTRS in os.environ
    return {} if is_said else {"target_session_attrs": "read-write"}


def _most_telling(failures: list[Exception]) -> Exception:
    """A refusal if all refuse: a standby may not know a login yet that its primary does."""
    return next((one for one in failures if not isinstance(one, _REFUSED)), failures[0])
