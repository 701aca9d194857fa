"""The installation's own authority and the certificates of its servers: the relay and the stores."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from sandbox_worker.certificate_parts import begin_certificate, common_name, key_usage
from sandbox_worker.files import replace_file, sync_folder

SERVERS = ("relay", "postgres", "redis", "nats")
"""Each has a certificate of its own, so that one stolen key is not all of them."""

AUTHORITY_LIVES, SERVER_LIVES = timedelta(days=3650), timedelta(days=397)
RENEWED_BEFORE = timedelta(days=30)

_DISCORDS_NAMES = ("discord.com", "discord.gg", "discordapp.com", "discord.media", "discordapp.net")


class CertificateError(Exception):
    """The certificates can't be made. `str(error)` is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def write_certificates(folder: Path, hosts: Sequence[str]) -> list[Path]:
    """An authority (`ca.pem`, `ca.key`), kept if it is there, and for each server `NAME.pem` and `NAME.key`, for the
    hosts: names or addresses. What was written; keys can be read by this user alone.

    `CertificateError` for a host that is none, or is Discord's: this authority is trusted by developers' machines.
    """
    names = [_general_name(host) for host in hosts]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    sync_folder(folder.parent)
    written: list[Path] = []
    authority = _read_authority(folder)
    if authority is None:
        authority = _new_authority()
        written += _write(folder, "ca", authority.certificate, authority.key)
    for server in SERVERS:
        key = ec.generate_private_key(ec.SECP256R1())
        written += _write(folder, server, _sign_server(authority, server, names, key), key)
    return written


def left_of(certificate: Path) -> timedelta:
    """Until it ends, negative afterwards; `CertificateError` if it is none."""
    return _load(certificate).not_valid_after_utc - datetime.now(UTC)


def covers(certificate: Path, host: str) -> bool:
    """Whether clients that come to that name or address accept it; `CertificateError` if it is none."""
    try:
        names = _load(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        above = host.lower().partition(".")[2]
        return bool({host.lower(), f"*.{above}"}.intersection(names.get_values_for_type(x509.DNSName)))


def _new_authority() -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = common_name("discord-sandboxes authority")
    unlike_discord = [x509.DNSName(host) for host in _DISCORDS_NAMES]
    certificate = (
        begin_certificate(name, name, key.public_key(), AUTHORITY_LIVES)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(None, unlike_discord), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Authority(certificate, key)


def _sign_server(
    authority: _Authority, server: str, names: Sequence[x509.GeneralName], key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        begin_certificate(
            common_name(f"discord-sandboxes {server}"), authority.certificate.subject, key.public_key(), SERVER_LIVES
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    name = host.strip().lower().rstrip(".")
    if any(name == known or name.endswith(f".{known}") for known in _DISCORDS_NAMES):
        raise CertificateError(f"{host} is Discord's: this authority never vouches for it. Name your own host.")
    labels = name.removeprefix("*.").split(".")
    if not all(label.isascii() and label.replace("-", "").isalnum() for label in labels) or not name:
        raise CertificateError(f"“{host}” is no host: name it like relay.example.com or 10.0.0.3.")
    return x509.DNSName(name)


def _read_authority(folder: Path) -> _Authority | None:
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not certificate.exists() and not key.exists():
        return None
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise CertificateError(
            f"{key}: not readable as a key ({error}). Put it back, or choose another folder."
        ) from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{key}: not made by this command. Choose another folder.")
    return _Authority(_load(certificate), loaded)


def _load(certificate: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(f"{certificate}: not readable as a certificate ({error}).") from None


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> list[Path]:
    pem, secret = folder / f"{name}.pem", folder / f"{name}.key"
    replace_file(
        secret,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    replace_file(pem, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return [pem, secret]
