import ssl

import pytest

from bot.certificates import write_certificates
from sandbox_worker.tls import client_context


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("ours", "theirs")]
    for folder in folders:
        write_certificates(folder, ["nats-1.example.com", "127.0.0.1"])
    return folders


def shake_hands(context, folder, host):
    """What a client thinks of a server with the folder's certificate."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(folder / "nats.pem", folder / "nats.key")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(back, there, server_hostname=host)
    server = serving.wrap_bio(there, back, server_side=True)
    open_ends = [client, server]
    while open_ends:
        for end in tuple(open_ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.remove(end)
    return client.version()


def test_an_authority_is_trusted_beside_those_of_the_system(folders):
    ours, _ = folders
    context = client_context(ours / "ca.pem")
    assert shake_hands(context, ours, "127.0.0.1").startswith("TLS")
    assert len(context.get_ca_certs()) == len(client_context().get_ca_certs()) + 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_refused_certificate_is_named_with_its_server_issuer_and_reason_on_one_line(folders, version):
    ours, theirs = folders
    context = client_context(theirs / "ca.pem", mend="name it in [tls] ca")
    context.maximum_version = version
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(context, ours, "nats-1.example.com")
    told = str(caught.value)
    assert told.startswith("the certificate of nats-1.example.com is refused: unable to get local issuer certificate")
    assert "subject discord-sandboxes nats; issuer discord-sandboxes authority" in told
    assert told.endswith("; name it in [tls] ca")
    assert "\n" not in told


def test_a_name_that_does_not_fit_is_told_with_those_that_would(folders):
    ours, _ = folders
    with pytest.raises(
        ssl.SSLCertVerificationError, match=r"of nats-2 .*mismatch.*\(for nats-1.example.com, 127.0"
    ) as refused:
        shake_hands(client_context(ours / "ca.pem", mend="name it in [tls] ca"), ours, "nats-2")
    assert "[tls] ca" not in str(refused.value)
