"""By which rules a sandbox's bot may ask for Discord's operations. Pure."""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """What has to hold for an operation, beyond a valid token, the real `{application}`, and that all channels and
    guilds which query and body name are the sandbox's."""

    GATEWAY = "gateway"
    """Answered by the relay: where its own gateway is."""
    USER = "user"
    APPLICATION = "application"
    GUILDS = "guilds"
    """Answered by the relay: the real user, the real application, the sandbox's guilds."""
    OPEN = "open"
    """Of nobody in particular."""
    GUILD = "guild"
    """`{guild}` is the sandbox's."""
    MEMBER = "member"
    """The same, and `{user}` is not the bot itself."""
    CHANNEL = "channel"
    """`{channel}` is in a guild of the sandbox's, or a direct channel of its making."""
    GUILD_CHANNEL = "guild channel"
    """`{channel}` is in a guild of the sandbox's."""
    POST_MESSAGE = "post message"
    """As CHANNEL, and so is the channel of the message that it forwards."""
    NEW_THREAD = "new thread"
    """As GUILD_CHANNEL; the message that it may begin with is of the sandbox's making."""
    CHANGE_MESSAGE = "change message"
    """As CHANNEL, and no message that it changes is the application's, but for those of the sandbox's making; in a
    direct channel all are of the sandbox's making."""
    FOLLOW = "follow"
    """As GUILD_CHANNEL, and so is `webhook_channel_id` of the body, where webhooks may be made."""
    NEW_WEBHOOK = "new webhook"
    """As GUILD_CHANNEL, if webhooks may be made. They are noted."""
    STAGE = "stage"
    """`channel_id` of the body is in a guild of the sandbox's."""
    DIRECT_CHANNEL = "direct channel"
    """By the policy for direct messages."""
    WEBHOOK = "webhook"
    """`{webhook}` is in a guild of the sandbox's, and so is `channel_id` of the body, if there is one."""
    TOKEN = "token"  # noqa: S105
    """`{token}` is of an interaction that was sent to the sandbox, or of a webhook in one of its guilds. Without the
    application's own token."""
    CALLBACK = "callback"
    """`{token}` is of an interaction that was sent to the sandbox. Without the application's own token."""
    COMMANDS = "commands"
    GUILD_COMMANDS = "guild commands"
    """Of `{application}`, which is the real one: kept, and mapped to commands of the sandbox's guilds."""
    PERMISSIONS = "command permissions"
    """Of commands of `{guild}`, which is the sandbox's."""
    STICKER = "sticker"
    """It is in a guild of the sandbox's, or in a pack of Discord's."""
    REFUSED = "refused"
    """They are the whole application's, or need another login than a bot's."""
