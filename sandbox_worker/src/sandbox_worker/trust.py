"""Whose certificates a worker takes: those of the system's authorities, and of the one that `SANDBOX_TLS_CA` names."""

from __future__ import annotations

import ssl

from sandbox_worker import variables
from sandbox_worker.errors import WrongEnvironment
from sandbox_worker.tls import client_context

MEND = (
    f"if its authority is your team's own, set {variables.SANDBOX_TLS_CA} to that one's file (PEM), which whoever "
    "operates the bot has"
)


def trusted_by(tls_ca: str) -> ssl.SSLContext:
    """For clients of the sandbox's servers. `WrongEnvironment` if the file cannot be read."""
    try:
        return client_context(tls_ca or None, mend=MEND)
    except OSError as error:  # ssl.SSLError is one
        raise WrongEnvironment(
            f"{variables.SANDBOX_TLS_CA} names no certificate that can be read: {error.strerror or error}."
        ) from None
