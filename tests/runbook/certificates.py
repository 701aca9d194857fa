"""The play of “Rotate certificates”, watched by a Prometheus where there is one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from unittest.mock import patch

from bot import certificates
from tests.alerts.prometheus import PROGRAM, Alert, Prometheus
from tests.alerts.rules import hasten, read_rules
from tests.cluster.server import LOOPBACK
from tests.runbook.entries import Entry
from tests.runbook.site import PATIENCE_S, Site

_ENDS = Alert("SandboxCertificateEnds relay")
_ALL_UP = 'count(up{job="sandbox-relay"} == 1) == 1 and count(up{job="sandbox-bot"} == 1) == 2'


async def rotate_certificates(site: Site, entry: Entry) -> AsyncIterator[str]:
    with patch.object(certificates, "SERVER_LIVES", timedelta(days=10)):
        certificates.write_certificates(site.certificates, [LOOPBACK])
    await site.restart_relay()
    async with _watching(site) as prometheus:
        if prometheus is not None:
            assert await prometheus.wait_for(_ENDS, firing=True, seconds=PATIENCE_S), _ENDS.text
            assert await prometheus.query(_ALL_UP)
            yield "a Prometheus that scrapes bots and relay tells that the relay's certificate ends"
        async for step in _rotate(site, entry):
            yield step
        if prometheus is not None:
            assert await prometheus.wait_for(_ENDS, firing=False, seconds=PATIENCE_S), _ENDS.text
            yield "the alert has ended"


async def _rotate(site: Site, entry: Entry) -> AsyncIterator[str]:
    relay, nats = site.ports["serving"], site.stores.nats_server
    authority, before = (site.certificates / "ca.pem").read_bytes(), await _served(relay)
    command = "openssl x509 -noout -ext subjectAltName -in certificates/relay.pem"
    await site.type(entry, command, tells=[LOOPBACK])
    command = "sandbox-bot certificates HOST… --folder certificates"
    await site.type(entry, command, tells=["relay.pem"], **{"HOST…": LOOPBACK})
    assert (site.certificates / "ca.pem").read_bytes() == authority
    yield "certificates are made anew, and the authority stays"

    sessions, of_nats = site.relayed.beginnings, await _served(nats.port)
    await site.restart_relay()
    os.kill(nats.pids[0], signal.SIGHUP)
    await site.until(lambda: _is_new(nats.port, of_nats), "NATS serves with the new one")
    assert await _is_new(relay, before)
    await site.lives()
    assert site.relayed.beginnings == sessions, "a session on the relay is lost"
    yield "the relay and NATS serve with them after SIGHUP, and no client has lost its session"

    look = "openssl s_client -connect HOST:8791 </dev/null | openssl x509 -noout -enddate"
    await site.type(entry, look, tells=["notAfter="], **{"HOST:8791": f"{LOOPBACK}:{relay}"})
    yield "openssl says until when what is served is good"


@asynccontextmanager
async def _watching(site: Site) -> AsyncIterator[Prometheus | None]:
    """By the rules of deploy/alerts.yml and the jobs of deploy/prometheus.yml."""
    if PROGRAM is None:
        print("no alert is waited for: install Debian's package prometheus")  # noqa: T201
        yield None
        return
    targets = {name: f"{LOOPBACK}:{site.ports[name]}" for name in ("bot-0", "bot-1", "relay")}
    relay = targets.pop("relay")
    rules = hasten(read_rules())
    folder = site.folder / "prometheus"
    async with Prometheus(folder, rules=rules, targets=list(targets.values()), relays=[relay]) as prometheus:
        yield prometheus


async def _is_new(port: int, before: bytes) -> bool:
    return await _served(port) != before


async def _served(port: int) -> bytes:
    """The certificate there."""
    return await asyncio.to_thread(_ask, port)


def _ask(port: int) -> bytes:
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((LOOPBACK, port), timeout=PATIENCE_S) as plain:
        _let_speak(plain)
        with anyone.wrap_socket(plain) as secured:
            return secured.getpeercert(binary_form=True) or b""


def _let_speak(plain: socket.socket) -> None:
    """NATS says something before it speaks TLS, others wait for their client."""
    plain.settimeout(0.5)
    with suppress(TimeoutError):
        plain.recv(4096)
    plain.settimeout(PATIENCE_S)
