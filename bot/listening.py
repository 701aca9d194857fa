"""The sockets that the bot listens on. One that is handed over outlives the process: clients wait in its backlog."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from pathlib import Path

from bot.setting_sections import Listening
from bot.settings import Settings, SettingsError

_FIRST_HANDED_OVER = 3
"""systemd's first file descriptor (sd_listen_fds)."""


def open_socket(listen: str, chosen: Listening, *, section: str = "relay") -> socket.socket:
    """`SettingsError` if it can't be had, or would be open to others without TLS. `section`: of the settings."""
    try:
        is_inherited = listen.startswith("fd:") or listen == "systemd"
        listening = _inherited(listen) if is_inherited else _bound(listen)
        _require_protected(listening, listen, chosen, section)
    except ValueError as error:
        raise SettingsError(f"{section}.listen: {error}") from None
    listening.setblocking(False)
    return listening


def server_tls(chosen: Listening, *, section: str = "relay") -> ssl.SSLContext | None:
    """None without a certificate; `SettingsError` if that can't be used."""
    if chosen.certificate is None or chosen.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(chosen.certificate, chosen.key)
    except (OSError, ssl.SSLError) as error:
        told = f"{section}.certificate: {chosen.certificate} and its key cannot be used: {error}."
        raise SettingsError(told) from None
    return context


def certificates_in(settings: Settings) -> dict[str, Path]:
    """Of the ports for relay and health that this process listens on, by their names."""
    listens = {"relay": (settings.relay_listen, settings.relay), "health": (settings.health_listen, settings.health)}
    return {name: of.certificate for name, (at, of) in listens.items() if at != "off" and of.certificate is not None}


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    if listening.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def _require_protected(listening: socket.socket, listen: str, chosen: Listening, section: str) -> None:
    if chosen.certificate is None and not chosen.plaintext and not is_loopback(listening):
        listening.close()
        raise ValueError(
            f"{listen} can be reached from elsewhere, so that {chosen.says} would pass in the clear. Set "
            f"{section}.certificate and {section}.key (`sandbox-bot certificates` makes them), or "
            f"{section}.plaintext = true if something in front of it speaks TLS."
        )


def _bound(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        is_both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, int(port)), family=family, backlog=1024, dualstack_ipv6=is_both)
    except OSError as error:
        raise ValueError(
            f"{listen} cannot be listened on: {error.strerror or error}. Choose another port, or stop what listens "
            "there."
        ) from None


def _inherited(listen: str) -> socket.socket:
    if listen == "systemd":
        _require_one_of_systemds()
    number = _FIRST_HANDED_OVER if listen == "systemd" else int(listen.removeprefix("fd:"))
    try:
        return socket.socket(fileno=os.dup(number))
    except OSError as error:
        raise ValueError(f"file descriptor {number} is no socket: {error.strerror}.") from None


def _require_one_of_systemds() -> None:
    is_ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    handed_over = os.environ.get("LISTEN_FDS") if is_ours else None
    if handed_over != "1":
        raise ValueError(
            f"systemd has handed over {handed_over or 'no'} socket(s); the relay serves on one, of a .socket unit with "
            "one ListenStream."
        )
