"""What `sandbox-bot check` says of the relay."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest

from bot import certificates
from bot.certificates import write_certificates
from tests.checks import check
from tests.e2e.relay.processes import environment_of, free_port, relay_process
from tests.e2e.test_cli import environment  # noqa: F401  # fixture


@pytest.fixture
def look(environment, discord, tmp_path):  # noqa: F811
    """What it says of relay and workers, and its warnings of them."""

    async def run(code=0, **changes):
        chosen = environment_of(environment, discord) | changes
        checked = await asyncio.to_thread(check, tmp_path, "--no-trials", **chosen)
        assert checked.returncode == code, checked.stderr
        of_workers, warned = checked.told("workers"), checked.told("relay", "warning")
        return f"{checked.told('relay')}\n{of_workers}\n{checked.told('discord.intents')}", warned

    return run


async def test_it_says_whether_the_relay_serves_could_serve_or_is_off(
    look,
    environment,  # noqa: F811
    discord,
):
    said, warned = await look()
    assert "It is off." in said
    assert "Workers reach PostgreSQL, Redis, NATS on this machine alone." in said
    port = free_port()
    elsewhere = {"BOT_WORKERS__POSTGRES": "postgresql://db.example.com/bot", "BOT_WORKERS__REDIS": "redis://cache"}
    said, warned = await look(BOT_RELAY__LISTEN=f"127.0.0.1:{port}", **elsewhere)
    assert "Workers reach NATS on this machine alone." in said
    assert f"It could serve at 127.0.0.1:{port}." in said
    assert warned == ""
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        said, warned = await look(78, BOT_RELAY__LISTEN=f"127.0.0.1:{theirs.getsockname()[1]}")
    assert "cannot be listened on: Address already in use" in said
    assert "The bot does not start until then." in said
    async with relay_process(environment, discord) as relay:
        said, warned = await look(BOT_RELAY__LISTEN=relay.address.removeprefix("http://"))
    assert f"It serves at {relay.address}." in said
    assert warned == ""


async def test_it_names_addresses_and_intents_with_which_no_bot_could_log_in(look, discord):
    port = free_port()
    _, warned = await look(BOT_RELAY__LISTEN=f"0.0.0.0:{port}", BOT_RELAY__PLAINTEXT="true")
    assert "relay.address: nobody reaches 0.0.0.0" in warned
    said, warned = await look(BOT_RELAY__LISTEN="systemd")
    assert "serves on a socket that is handed over (systemd)" in said
    assert "relay.address: missing" in warned
    discord.settings.approved_intents = 0
    said, _ = await look(78, BOT_RELAY__LISTEN=f"127.0.0.1:{port}")
    assert "Discord has not approved members, message_content" in said


@pytest.mark.long
async def test_it_warns_of_a_certificate_that_ends_or_is_for_others(look, tmp_path, monkeypatch):
    chosen = {
        "BOT_RELAY__LISTEN": f"127.0.0.1:{free_port()}",
        "BOT_RELAY__CERTIFICATE": str(tmp_path / "relay.pem"),
        "BOT_RELAY__KEY": str(tmp_path / "relay.key"),
    }
    write_certificates(tmp_path, ["127.0.0.1", "*.example.com"])
    _, warned = await look(**chosen)
    assert "relay.certificate" not in warned
    _, warned = await look(**chosen, BOT_RELAY__ADDRESS="https://relay.example.com")
    assert "relay.certificate" not in warned
    _, warned = await look(**chosen, BOT_RELAY__ADDRESS="https://relay.example.org")
    assert "is not for relay.example.org" in warned
    for lives, said in ((timedelta(days=5, hours=1), "expires in 5d"), (timedelta(0), "has expired")):
        monkeypatch.setattr(certificates, "SERVER_LIVES", lives)
        write_certificates(tmp_path, ["127.0.0.1"])
        _, warned = await look(**chosen)
        assert said in warned
