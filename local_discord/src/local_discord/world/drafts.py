"""What an author writes: a draft, and the files attached to it."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, field

from local_discord.rules.component_tree import TEXT_DISPLAY, walk
from local_discord.wire import Json
from local_discord.world.pictures import size_of
from local_discord.world.polls import Poll

PARTS = ("content", "embeds", "components", "attachments", "snapshots", "sticker_items", "poll")
"""What a message may consist of; Discord takes none that has nothing of it."""
_USER_MENTION = re.compile(r"<@!?(\d{15,20})>")
_ROLE_MENTION = re.compile(r"<@&(\d{15,20})>")
_EVERYONE = re.compile(r"@(?:everyone|here)\b")


@dataclass(slots=True, eq=False)
class Attachment:
    """A file; it has no `url` before the message with it is written."""

    id: int
    filename: str
    content: bytes
    description: str | None = None
    url: str = ""

    @property
    def content_type(self) -> str | None:
        """Guessed from the name; None for a name that tells nothing."""
        return mimetypes.guess_type(self.filename)[0]

    def payload(self, *, ephemeral: bool) -> Json:
        """Without the content, which is fetched from the `url`."""
        data: Json = {
            "id": str(self.id),
            "filename": self.filename,
            "size": len(self.content),
            "url": self.url,
            "proxy_url": self.url,
        }
        if self.content_type:
            data["content_type"] = self.content_type
        if (size := size_of(self.content)) is not None:
            data["width"], data["height"] = size
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
        return self._allowed("users", _USER_MENTION)

    def mentioned_role_ids(self) -> list[int]:
        """The same for roles."""
        return self._allowed("roles", _ROLE_MENTION)

    @property
    def mentions_everyone(self) -> bool:
        """It calls all, and may."""
        allowed = self.mentions_allowed
        return bool(_EVERYONE.search(self.text)) and (allowed is None or "everyone" in (allowed.get("parse") or ()))

    @property
    def mentions_replied(self) -> bool:
        """It calls whom it answers, unless it says otherwise."""
        return self.mentions_allowed is None or bool(self.mentions_allowed.get("replied_user"))

    @property
    def says_text(self) -> bool:
        """It has, or changes, what may name somebody."""
        return self.content is not None or self.components is not None

    @property
    def text(self) -> str:
        """All of it, the texts among the components too."""
        shown = [one.get("content") for one in walk(self.components or ()) if one.get("type") == TEXT_DISPLAY]
        return "\n".join(str(one) for one in (self.content, *shown) if one)

    def _allowed(self, kind: str, pattern: re.Pattern[str]) -> list[int]:
        ids = dict.fromkeys(int(found) for found in pattern.findall(self.text))
        allowed = self.mentions_allowed
        if allowed is None or kind in (allowed.get("parse") or ()):
            return list(ids)
        listed = {int(one) for one in allowed.get(kind) or ()}
        return [one for one in ids if one in listed]
