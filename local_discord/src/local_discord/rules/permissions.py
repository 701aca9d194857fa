"""Permissions by name, as bits."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = [
    "create_instant_invite",
    "kick_members",
    "ban_members",
    "administrator",
    "manage_channels",
    "manage_guild",
    "add_reactions",
    "view_audit_log",
    "priority_speaker",
    "stream",
    "view_channel",
    "send_messages",
    "send_tts_messages",
    "manage_messages",
    "embed_links",
    "attach_files",
    "read_message_history",
    "mention_everyone",
    "use_external_emojis",
    "view_guild_insights",
    "connect",
    "speak",
    "mute_members",
    "deafen_members",
    "move_members",
    "use_vad",
    "change_nickname",
    "manage_nicknames",
    "manage_roles",
    "manage_webhooks",
    "manage_guild_expressions",
    "use_application_commands",
    "request_to_speak",
    "manage_events",
    "manage_threads",
    "create_public_threads",
    "create_private_threads",
    "use_external_stickers",
    "send_messages_in_threads",
    "use_embedded_activities",
    "moderate_members",
    "view_creator_monetization_analytics",
    "use_soundboard",
    "create_guild_expressions",
    "create_events",
    "use_external_sounds",
    "send_voice_messages",
    "unused",
    "set_voice_channel_status",
    "send_polls",
    "use_external_apps",
    "pin_messages",
    "bypass_slowmode",
]
BITS = {name: 1 << position for position, name in enumerate(_NAMES)}
ALL = sum(BITS.values())
ADMINISTRATOR = BITS["administrator"]


def bits(permissions: int | Iterable[str]) -> int:
    """Permissions as bits, whether they come so or by name; `KeyError` for a name that Discord does not know."""
    if isinstance(permissions, int):
        return permissions
    return sum(BITS[name] for name in set(permissions))


EVERYONE = bits(
    [
        "create_instant_invite",
        "add_reactions",
        "stream",
        "view_channel",
        "send_messages",
        "embed_links",
        "attach_files",
        "read_message_history",
        "mention_everyone",
        "use_external_emojis",
        "connect",
        "speak",
        "use_vad",
        "change_nickname",
        "use_application_commands",
        "request_to_speak",
        "create_public_threads",
        "create_private_threads",
        "use_external_stickers",
        "send_messages_in_threads",
        "use_embedded_activities",
        "use_soundboard",
        "create_guild_expressions",
        "create_events",
        "use_external_sounds",
        "send_voice_messages",
        "send_polls",
        "use_external_apps",
    ]
)
"""What a new guild grants to its role @everyone, and what both sides may do in a DM."""
TIMED_OUT = bits(["view_channel", "read_message_history"])
"""What is left of a member's permissions during a time-out, unless they are an administrator."""


def where_seen(granted: int) -> int:
    """What of these holds in a channel: nothing at all for whoever does not see it."""
    return granted if granted & BITS["view_channel"] else 0
