"""TLS to PostgreSQL: as the address says, which asyncpg does, or with whom `[tls] ca` and the system trust."""

from __future__ import annotations

import os
import ssl

from sandbox_worker.addresses import read_parameters
from sandbox_worker.tls import client_context, name_refused

_FILES = {"sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL"}
_MEND = "name its authority in [tls] ca"


def tls_of(dsn: str, authority: str | None) -> ssl.SSLContext | None:
    """None where asyncpg is to do it: without TLS or a look at the certificate, or with files of the address's own."""
    parameters = read_parameters(dsn)
    if any(name in parameters or variable in os.environ for name, variable in _FILES.items()):
        return None
    mode = parameters.get("sslmode", os.environ.get("PGSSLMODE"))
    if mode == "verify-full":
        context = client_context(authority, mend=_MEND)
    elif authority is not None and mode in ("verify-ca", "require"):  # for any name, so that nobody else is trusted
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cafile=authority)
        name_refused(context, mend=_MEND)
    else:
        return None
    context.set_alpn_protocols(["postgresql"])
    return context
