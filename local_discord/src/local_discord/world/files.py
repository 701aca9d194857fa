"""The files that were attached, and their addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from local_discord.rules.component_rules import ATTACHMENT
from local_discord.world.channels import Channel
from local_discord.world.core import Core
from local_discord.world.drafts import Attachment


class Files:
    """Kept as long as the world, also when their message is gone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_id: dict[int, Attachment] = {}

    def store(self, attachment: Attachment, channel: Channel) -> None:
        """Give the file an address of its own."""
        place = f"{channel.id}/{attachment.id}/{quote(attachment.filename, '')}"
        attachment.url = f"{self._core.origin}/attachments/{place}"
        self._by_id[attachment.id] = attachment

    def get(self, attachment_id: int) -> Attachment | None:
        """None for an id that no stored file has."""
        return self._by_id.get(attachment_id)


def with_urls(shown: Any, urls: Mapping[str, str]) -> Any:
    """Embeds or components, with the address of each attached file where they name it."""
    if isinstance(shown, list):
        return [with_urls(one, urls) for one in shown]
    if not isinstance(shown, dict):
        return shown
    found = {key: with_urls(value, urls) for key, value in shown.items()}
    for key in ("url", "icon_url"):
        name = str(found.get(key)).removeprefix(ATTACHMENT)
        if str(found.get(key)).startswith(ATTACHMENT) and name in urls:
            found |= {key: urls[name], f"proxy_{key}": urls[name]}
    return found
