"""What an author writes: a draft, and the files attached to it."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, field

from local_discord.wire import Json
from local_discord.world.polls import Poll

PARTS = ("content", "embeds", "components", "attachments", "snapshots", "sticker_items", "poll")
"""What a message may consist of; Discord takes none that has nothing of it."""
_USER_MENTION = re.compile(r"<@!?(\d{15,20})>")


@dataclass(slots=True, eq=False)
class Attachment:
    """A file; it has no `url` before the message with it is written."""

    id: int
    filename: str
    content: bytes
    description: str | None = None
    url: str = ""

    def payload(self, *, ephemeral: bool) -> Json:
        """Without the content, which is fetched from the `url`; its type is guessed from the name."""
        data: Json = {
            "id": str(self.id),
            "filename": self.filename,
            "size": len(self.content),
            "url": self.url,
            "proxy_url": self.url,
        }
        kind = mimetypes.guess_type(self.filename)[0]
        if kind:
            data["content_type"] = kind
        if self.description:
            data["description"] = self.description
        return data | ({"ephemeral": True} if ephemeral else {})


@dataclass(slots=True)
class Draft:
    """What an author writes. `content` and the rest are None where an edit leaves them alone."""

    content: str | None = None
    embeds: list[Json] | None = None
    components: list[Json] | None = None
    attachments: list[Attachment] | None = None
    flags: int = 0
    tts: bool = False
    nonce: str | int | None = None
    enforce_nonce: bool = False
    mentions_allowed: Json | None = None
    reference: Json | None = None
    snapshots: list[Json] = field(default_factory=list)
    """What it forwards."""
    sticker_items: list[Json] = field(default_factory=list)
    poll: Poll | None = None

    @property
    def is_empty(self) -> bool:
        """It says nothing by itself."""
        return not any(getattr(self, part) for part in PARTS)

    def mentioned_ids(self) -> list[int]:
        """The users that the text names and `allowed_mentions` lets it name, each once, in the text's order."""
        ids = dict.fromkeys(int(found) for found in _USER_MENTION.findall(self.content or ""))
        allowed = self.mentions_allowed
        if allowed is None or "users" in allowed.get("parse", ()):
            return list(ids)
        listed = {int(user_id) for user_id in allowed.get("users", ())}
        return [user_id for user_id in ids if user_id in listed]
