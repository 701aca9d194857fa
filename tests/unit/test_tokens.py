"""A sandbox's token, as it stands in addresses."""

from __future__ import annotations

import secrets

from bot.sandboxes.access.tokens import new_credentials


def test_a_token_that_a_client_would_take_for_a_port_is_drawn_again(monkeypatch):
    drawn = iter(["7_begins-with-a-digit", "-begins-with-a-dash", "_begins-with-a-line", "begins-with-a-letter"])
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _bytes: next(drawn))
    assert new_credentials().token == "begins-with-a-letter"
