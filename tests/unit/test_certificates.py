"""The installation's own authority, used for real."""

from __future__ import annotations

import asyncio
import ssl
import stat

import pytest

from bot.certificates import CertificateError, write_certificates
from bot.cli.check.of_workers import certificate_of
from bot.settings import Workers


async def served(folder, server_hostname, trusted=None):
    """A handshake with a server of those certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "relay.pem", folder / "relay.key")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        host, port = server.sockets[0].getsockname()
        client = ssl.create_default_context(cafile=trusted or folder / "ca.pem")
        _, writer = await asyncio.open_connection(host, port, ssl=client, server_hostname=server_hostname)
        writer.close()


async def test_a_client_that_trusts_the_authority_alone_reaches_the_server_by_its_names(tmp_path):
    write_certificates(tmp_path, ["relay.example.com", "127.0.0.1"])
    await served(tmp_path, "relay.example.com")
    await served(tmp_path, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        await served(tmp_path, "other.example.com")


def test_keys_are_for_this_user_alone(tmp_path):
    for path in write_certificates(tmp_path / "new", ["localhost"]):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o600 if path.suffix == ".key" else 0o644)


async def test_a_renewal_keeps_the_authority(tmp_path):
    write_certificates(tmp_path, ["old.example.com"])
    authority = (tmp_path / "ca.pem").read_bytes()
    written = write_certificates(tmp_path, ["new.example.com"])
    assert (tmp_path / "ca.pem").read_bytes() == authority
    assert tmp_path / "ca.pem" not in written
    await served(tmp_path, "new.example.com")


@pytest.mark.parametrize("host", ["discord.com", "gateway.discord.gg", "DISCORD.COM.", "cdn.discordapp.com"])
def test_it_never_vouches_for_discord(tmp_path, host):
    with pytest.raises(CertificateError, match="Discord's"):
        write_certificates(tmp_path, [host])


@pytest.mark.parametrize("host", ["", "a b", "https://relay.example.com", "-"])
def test_what_is_no_host_is_said(tmp_path, host):
    with pytest.raises(CertificateError, match="no host"):
        write_certificates(tmp_path, [host])


def test_half_an_authority_is_not_replaced(tmp_path):
    write_certificates(tmp_path, ["localhost"])
    (tmp_path / "ca.key").unlink()
    with pytest.raises(CertificateError, match=r"ca\.key"):
        write_certificates(tmp_path, ["localhost"])


def test_a_certificate_of_a_store_that_workers_would_not_take_is_warned_of(tmp_path):
    write_certificates(tmp_path, ["stores.test"])
    right = Workers(listen="0.0.0.0", host="stores.test", certificates=tmp_path)
    assert list(certificate_of("nats", right)) == []
    (warning,) = certificate_of("redis", Workers(listen="10.0.0.3", certificates=tmp_path))
    assert warning.message.startswith(f"workers.certificates: {tmp_path / 'redis.pem'} is not for 10.0.0.3")
    (tmp_path / "nats.pem").write_text("none")
    assert "not readable as a certificate" in next(certificate_of("nats", right)).message
    assert list(certificate_of("nats", Workers())) == []
