"""What is said of a store that is to keep sandboxes apart."""

from __future__ import annotations

from bot.findings import Cause, Finding, failure, ok, warning
from bot.i18n import gettext
from bot.sandboxes.access.isolation import Enforcement
from bot.settings import Settings


def tell_isolation(store: str, found: Enforcement, settings: Settings) -> Finding:
    """A failure where the settings require it: the bot does not start then."""
    if found.reason is None:
        return ok(gettext("{store} keeps sandboxes apart by itself.", store=store))
    message = gettext("{store} keeps sandboxes apart by convention alone: {reason}.", store=store, reason=found.reason)
    mend = gettext("Set it up as README's “Isolation” says, or trust everybody who has a sandbox.")
    if settings.isolation.require:
        return failure(message, mend, Cause.CONFIGURATION)
    return warning(message, mend)
