"""Which host names are Discord's API and gateway. Pure."""

from __future__ import annotations

DOMAINS = ("discord.com", "discord.gg", "discordapp.com")
"""With everything below them. Voice (discord.media) and pictures (discordapp.net) stay on the real net."""

NOT_LED = ("cdn.discordapp.com",)
"""Files that people have sent: they are fetched without a token, from Discord itself."""


def is_discord(host: str) -> bool:
    """Whether a program that asks for this host is led to the relay."""
    name = host.lower().rstrip(".")
    return name not in NOT_LED and any(name == domain or name.endswith(f".{domain}") for domain in DOMAINS)
