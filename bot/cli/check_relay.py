"""What `sandbox-bot check` says of the relay: whether it could serve, without serving."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from bot.cli.check_workers import warnings_of
from bot.listening import open_socket, server_tls
from bot.relay.gateway.intents import APPROVED
from bot.setting_sections import Relay
from bot.settings import Settings, SettingsError
from bot.stores.opening import Stores
from bot.stores.relay_records import RelayRecords


async def check_relay(settings: Settings, stores: Stores, application_flags: int) -> tuple[list[str], list[str]]:
    """Facts and warnings. `SettingsError` if its certificate can't be used. `application_flags` are Discord's."""
    if settings.relay_listen == "off":
        return ["Relay: off. Sandboxes' own bots need one: set [relay] listen."], []
    server_tls(settings.relay)
    serving = await RelayRecords(stores.redis, stores.pool).list_relays()
    facts = [f"Relay: serves at {address}." for address in serving]
    warnings = [*_certificate(settings), *_address(settings), *_intents(settings, application_flags)]
    if not serving:
        try:
            facts.append(_try_to_listen(settings.relay_listen, settings.relay))
        except SettingsError as error:
            warnings.append(f"Relay: {error}")
    return facts, warnings


def _try_to_listen(listen: str, chosen: Relay) -> str:
    if listen == "systemd" or listen.startswith("fd:"):
        return f"Relay: it serves on a socket that is handed over ({listen}); that was not tried."
    open_socket(listen, chosen).close()
    return f"Relay: it could serve at {listen}."


def _certificate(settings: Settings) -> Iterator[str]:
    certificate = settings.relay.certificate
    if certificate is None:
        return
    yield from warnings_of(certificate, urlsplit(settings.relay_address).hostname or "", "relay.certificate")


def _address(settings: Settings) -> Iterator[str]:
    if not settings.relay_address:
        yield "relay.address: missing, so that nobody is handed a bot token. Set where developers reach the relay."
        return
    host = urlsplit(settings.relay_address).hostname or ""
    try:
        is_any = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return
    if is_any:
        yield f"relay.address: nobody reaches {host}, which means all addresses. Set where developers reach the relay."


def _intents(settings: Settings, application_flags: int) -> Iterator[str]:
    chosen = settings.discord.privileged_intents
    if missing := [name for name in chosen if not application_flags & APPROVED[name]]:
        yield (
            f"discord.privileged_intents: Discord has not approved {', '.join(missing)} for the application. Enable "
            "them in the developer portal, or take them out."
        )
