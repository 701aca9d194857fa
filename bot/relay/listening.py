"""The relay's listening socket, which may outlive the process: then clients wait in its backlog while one restarts."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl

from bot.setting_sections import Relay
from bot.settings import SettingsError

_FIRST_HANDED_OVER = 3
"""systemd's first file descriptor (sd_listen_fds)."""


def open_socket(listen: str, chosen: Relay) -> socket.socket:
    """`SettingsError` if it can't be had, or would be open to others without TLS."""
    listening = _inherited(listen) if listen.startswith("fd:") or listen == "systemd" else _bound(listen)
    if chosen.certificate is None and not chosen.plaintext and not _is_loopback(listening):
        listening.close()
        raise SettingsError(
            f"relay.listen: {listen} can be reached from elsewhere, so that tokens would pass in the clear. Set "
            "relay.certificate and relay.key (`sandbox-bot certificates` makes them), or relay.plaintext = true if "
            "something in front of it speaks TLS."
        )
    listening.setblocking(False)
    return listening


def server_tls(chosen: Relay) -> ssl.SSLContext | None:
    """None without a certificate; `SettingsError` if that can't be used."""
    if chosen.certificate is None or chosen.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(chosen.certificate, chosen.key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"relay.certificate: {chosen.certificate} and its key cannot be used: {error}.") from None
    return context


def _bound(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=1024)
    except OSError as error:
        raise SettingsError(
            f"relay.listen: {listen} cannot be listened on: {error.strerror or error}. Choose another port, or stop "
            "what listens there."
        ) from None


def _inherited(listen: str) -> socket.socket:
    if listen == "systemd":
        _require_one_of_systemds()
    number = _FIRST_HANDED_OVER if listen == "systemd" else int(listen.removeprefix("fd:"))
    try:
        return socket.socket(fileno=os.dup(number))
    except OSError as error:
        raise SettingsError(f"relay.listen: file descriptor {number} is no socket: {error.strerror}.") from None


def _require_one_of_systemds() -> None:
    is_ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    handed_over = os.environ.get("LISTEN_FDS") if is_ours else None
    if handed_over != "1":
        raise SettingsError(
            f"relay.listen: systemd has handed over {handed_over or 'no'} socket(s); the relay serves on one, of a "
            ".socket unit with one ListenStream."
        )


def _is_loopback(listening: socket.socket) -> bool:
    if listening.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback
