"""What all certificates have that we make. Needs cryptography, which is of the extra `run`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_CLOCKS_DIFFER_BY = timedelta(hours=1)


def begin_certificate(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, lives: timedelta
) -> x509.CertificateBuilder:
    """Valid from now on, also by a clock that is slow, for so long. Extensions and the signature are still to come."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER_BY)
        .not_valid_after(now + lives)
    )


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """An authority's key signs certificates and nothing else, a server's anything else."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def common_name(text: str) -> x509.Name:
    """A name that has nothing else."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
