"""A trust store as Java reads it, for it reads no PEM. Pure."""

from __future__ import annotations

import hashlib
import re
import ssl
import struct

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_MAGIC, _VERSION, _TRUSTED = 0xFEEDFEED, 2, 2
_PASSWORD = "changeit"  # noqa: S105
"""Java's own, known to all: it guards against damage alone."""


def trust_store(pem: str) -> bytes:
    """In the format JKS, with every certificate that stands in `pem`."""
    certificates = [ssl.PEM_cert_to_DER_cert(block) for block in _BLOCK.findall(pem)]
    entries = b"".join(_entry(number, certificate) for number, certificate in enumerate(certificates))
    store = struct.pack(">III", _MAGIC, _VERSION, len(certificates)) + entries
    salted = _PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + store
    return store + hashlib.sha1(salted, usedforsecurity=False).digest()


def _entry(number: int, certificate: bytes) -> bytes:
    head = struct.pack(">I", _TRUSTED) + _text(str(number)) + struct.pack(">Q", 0) + _text("X.509")
    return head + struct.pack(">I", len(certificate)) + certificate


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
