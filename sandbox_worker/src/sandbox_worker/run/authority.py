"""The authority of one run, which vouches for Discord's names alone. Its key never leaves this process."""

from __future__ import annotations

import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sandbox_worker import constants
from sandbox_worker.errors import MissingExtra
from sandbox_worker.run.names import DOMAINS, NOT_LED

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    from sandbox_worker.certificate_parts import begin_certificate, common_name, key_usage
except ModuleNotFoundError:
    raise MissingExtra("`sandbox-worker run`", "cryptography", "run") from None

_LIVES = timedelta(days=constants.RUN_CERTIFICATE_DAYS)


@dataclass(frozen=True, slots=True)
class RunAuthority:
    """`certificate` (PEM) is what the program is to trust; `tls` answers as Discord with what that has signed."""

    certificate: str
    tls: ssl.SSLContext


def make_authority() -> RunAuthority:
    """A new one. It has signed its one certificate and can sign no other: the key is forgotten here."""
    key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _authority(key)
    return RunAuthority(_pem(authority), _server_tls(_server(authority, key, server_key.public_key()), server_key))


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = common_name("sandbox-worker run")
    led, not_led = ([x509.DNSName(name) for name in names] for names in (DOMAINS, NOT_LED))
    return (
        begin_certificate(name, name, key.public_key(), _LIVES)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(led, not_led), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server(
    authority: x509.Certificate, key: ec.EllipticCurvePrivateKey, public_key: ec.EllipticCurvePublicKey
) -> x509.Certificate:
    names = [x509.DNSName(name) for domain in DOMAINS for name in (domain, f"*.{domain}")]
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return (
        begin_certificate(common_name("Discord, as a sandbox's relay"), authority.subject, public_key, _LIVES)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(signer, critical=False)
        .sign(key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _server_tls(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """Python reads keys from files alone: it is there for a moment, and enciphered."""
    password = secrets.token_bytes(32)
    enciphered = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.TemporaryDirectory(prefix="sandbox-worker-") as folder:
        file = Path(folder) / "server.pem"
        file.write_bytes(_pem(certificate).encode() + enciphered)
        context.load_cert_chain(file, password=password)
    return context
