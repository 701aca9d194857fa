"""What `sandbox-bot check` says of the relay."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest

from bot import certificates
from bot.certificates import write_certificates
from tests.e2e.relay.processes import environment_of, free_port, relay_process
from tests.e2e.test_cli import environment  # noqa: F401  # fixture
from tests.forks import run_command


@pytest.fixture
def check(environment, discord, tmp_path):  # noqa: F811
    """What it says, and its warnings."""

    async def run(**changes):
        chosen = environment_of(environment, discord) | changes
        ended = await asyncio.to_thread(run_command, ["check", "--no-trials"], cwd=tmp_path, env=chosen)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout, ended.stderr

    return run


async def test_it_says_whether_the_relay_serves_could_serve_or_is_off(
    check,
    environment,  # noqa: F811
    discord,
):
    said, warned = await check()
    assert "Relay: off." in said
    assert "Workers: they reach PostgreSQL, Redis, NATS on this machine alone." in said
    port = free_port()
    elsewhere = {"BOT_WORKERS__POSTGRES": "postgresql://db.example.com/bot", "BOT_WORKERS__REDIS": "redis://cache"}
    said, warned = await check(BOT_RELAY__LISTEN=f"127.0.0.1:{port}", **elsewhere)
    assert "Workers: they reach NATS on this machine alone." in said
    assert f"Relay: it could serve at 127.0.0.1:{port}." in said
    assert "relay" not in warned
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        said, warned = await check(BOT_RELAY__LISTEN=f"127.0.0.1:{theirs.getsockname()[1]}")
    assert "cannot be listened on: Address already in use" in warned
    async with relay_process(environment, discord) as relay:
        said, warned = await check(BOT_RELAY__LISTEN=relay.address.removeprefix("http://"))
    assert f"Relay: serves at {relay.address}." in said
    assert "in use" not in warned


async def test_it_warns_of_addresses_and_intents_with_which_no_bot_could_log_in(check, discord):
    port = free_port()
    _, warned = await check(BOT_RELAY__LISTEN=f"0.0.0.0:{port}", BOT_RELAY__PLAINTEXT="true")
    assert "relay.address: nobody reaches 0.0.0.0" in warned
    said, warned = await check(BOT_RELAY__LISTEN="systemd")
    assert "serves on a socket that is handed over (systemd)" in said
    assert "relay.address: missing" in warned
    discord.settings.approved_intents = 0
    _, warned = await check(BOT_RELAY__LISTEN=f"127.0.0.1:{port}")
    assert "Discord has not approved members, message_content" in warned


@pytest.mark.long
async def test_it_warns_of_a_certificate_that_ends_or_is_for_others(check, tmp_path, monkeypatch):
    chosen = {
        "BOT_RELAY__LISTEN": f"127.0.0.1:{free_port()}",
        "BOT_RELAY__CERTIFICATE": str(tmp_path / "relay.pem"),
        "BOT_RELAY__KEY": str(tmp_path / "relay.key"),
    }
    write_certificates(tmp_path, ["127.0.0.1", "*.example.com"])
    _, warned = await check(**chosen)
    assert "relay.certificate" not in warned
    _, warned = await check(**chosen, BOT_RELAY__ADDRESS="https://relay.example.com")
    assert "relay.certificate" not in warned
    _, warned = await check(**chosen, BOT_RELAY__ADDRESS="https://relay.example.org")
    assert "is not for relay.example.org" in warned
    for lives, said in ((timedelta(days=5, hours=1), "expires in 5d"), (timedelta(0), "has expired")):
        monkeypatch.setattr(certificates, "SERVER_LIVES", lives)
        write_certificates(tmp_path, ["127.0.0.1"])
        _, warned = await check(**chosen)
        assert said in warned
