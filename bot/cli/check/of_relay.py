"""The relay: whether it serves or could, and whether anybody would reach it."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from bot.cli.check.of_workers import certificate_findings
from bot.cli.check.surroundings import Surroundings
from bot.findings import Cause, Finding, failure, ok, warning
from bot.i18n import gettext
from bot.listening import open_socket, server_tls
from bot.setting_sections import Relay
from bot.settings import Settings, SettingsError
from bot.stores.relay_records import RelayRecords


async def relay(found: Surroundings) -> AsyncIterator[Finding]:
    """It serves nobody meanwhile. `SettingsError` if its certificate can't be used."""
    settings = found.settings
    if settings.relay_listen == "off":
        yield ok(gettext("It is off. Sandboxes' own bots need one: set [relay] listen."))
        return
    server_tls(settings.relay)
    for finding in (*_certificate(settings), *_address(settings)):
        yield finding
    serving = await RelayRecords(await found.redis.get(), await found.postgres.get()).list_relays()
    for address in serving:
        yield ok(gettext("It serves at {address}.", address=address))
    if not serving:
        yield _try_to_listen(settings.relay_listen, settings.relay)


def _try_to_listen(listen: str, chosen: Relay) -> Finding:
    if listen == "systemd" or listen.startswith("fd:"):
        return ok(gettext("It serves on a socket that is handed over ({listen}); that was not tried.", listen=listen))
    try:
        open_socket(listen, chosen).close()
    except SettingsError as error:
        if chosen.listen is not None:
            return failure(str(error), gettext("The bot does not start until then."), Cause.CONFIGURATION)
        return warning(str(error), gettext("The bot goes on without a relay until then."))
    return ok(gettext("It could serve at {listen}.", listen=listen))


def _certificate(settings: Settings) -> Iterator[Finding]:
    certificate = settings.relay.certificate
    if certificate is not None:
        host = urlsplit(settings.relay_address).hostname or ""
        yield from certificate_findings(certificate, host, "relay.certificate")


def _address(settings: Settings) -> Iterator[Finding]:
    mend = gettext("Set it to where developers reach the relay.")
    if not settings.relay_address:
        yield warning(gettext("relay.address: missing, so that nobody is handed a bot token."), mend)
        return
    host = urlsplit(settings.relay_address).hostname or ""
    try:
        is_any = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return
    if is_any:
        yield warning(gettext("relay.address: nobody reaches {host}, which means all addresses.", host=host), mend)
