"""TLS as a client: whom it trusts, and an error that says whose certificate it doesn't take."""

from __future__ import annotations

import ssl
from os import PathLike
from typing import Any

from sandbox_worker.text import plain

_LONGEST = 200


def client_context(authority: str | PathLike[str] | None = None, *, mend: str = "") -> ssl.SSLContext:
    """Trusts the authorities of the system and, if given, that of the file (PEM). `OSError` if it is not readable.

    The `SSLCertVerificationError` of a refused certificate names its server, subject and issuer and the reason in one
    line; where its authority is unknown it ends with `mend`, what to do then.
    """
    context = ssl.create_default_context()
    if authority is not None:
        context.load_verify_locations(cafile=authority)
    name_refused(context, mend=mend)
    return context


def trusting_alone(authority: str | PathLike[str]) -> ssl.SSLContext:
    """Takes whatever certificate that authority has signed, for any name, and none of the system's. Errors as above."""
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False
    name_refused(context)
    return context


def name_refused(context: ssl.SSLContext, *, mend: str = "") -> None:
    """Its errors are those of `client_context` from now on."""

    class Named(_NamingObject):
        mended_by = mend

    context.sslobject_class = Named


class _NamingObject(ssl.SSLObject):
    mended_by = ""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            error.strerror = self._explain(error)
            raise

    def _explain(self, error: ssl.SSLCertVerificationError) -> str:
        reason = error.verify_message.rstrip(".")
        about = "; ".join(f"{name} {value}" for name, value in self._describe() if value)
        mend = f"; {self.mended_by}" if self.mended_by and _is_unknown(reason) else ""
        return plain(f"the certificate of {self.server_hostname or 'the server'} is refused: {reason} ({about}){mend}")

    def _describe(self) -> list[tuple[str, str]]:
        # The only way to what the server has sent when it is refused: the public one, of Python 3.13 on, has it unread.
        chain = getattr(self, "_sslobj").get_unverified_chain()  # noqa: B009
        found: dict[str, Any] = chain[0].get_info() if chain else {}
        names = ", ".join(value for _, value in found.get("subjectAltName", ()))
        return [
            ("for", names[:_LONGEST]),
            ("subject", _common_name(found.get("subject", ()))),
            ("issuer", _common_name(found.get("issuer", ()))),
            ("until", found.get("notAfter", "")),
        ]


def _is_unknown(reason: str) -> bool:
    """Whether OpenSSL misses the authority, rather than finding fault with the certificate."""
    return "issuer certificate" in reason or "self-signed" in reason or "self signed" in reason


def _common_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """Or all that there is, if it has none."""
    parts = {key: value for group in name for key, value in group}
    return parts.get("commonName", ", ".join(parts.values()))[:_LONGEST]
