"""Users: people, and the bot."""

from __future__ import annotations

from local_discord.wire import Json


class User:
    """Whom Discord knows by an id. `dms_closed` people refuse the bot's direct messages; `locale` is their client's.
    `public_flags` are Discord's: 1 << 16 for a bot that it has verified."""

    def __init__(self, user_id: int, name: str, *, bot: bool = False) -> None:
        self.id = user_id
        self.name = name
        self.bot = bot
        self.locale = "en-US"
        self.dms_closed = False
        self.public_flags = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} id={self.id}>"

    @property
    def mention(self) -> str:
        """What to write in a message so that it names them."""
        return f"<@{self.id}>"

    def payload(self) -> Json:
        """As everybody sees them."""
        data: Json = {
            "id": str(self.id),
            "username": self.name,
            "global_name": None if self.bot else self.name,
            "discriminator": "0",
            "avatar": None,
            "avatar_decoration_data": None,
            "primary_guild": None,
            "public_flags": self.public_flags,
            "flags": self.public_flags,
        }
        return data | ({"bot": True} if self.bot else {})

    def own_payload(self) -> Json:
        """As the bot sees its own user."""
        return self.payload() | {"verified": True, "mfa_enabled": True, "email": None, "locale": "en-US"}
