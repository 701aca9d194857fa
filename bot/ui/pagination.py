"""Lists of sandboxes, a page at a time. A page is read afresh whenever it is turned to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import discord
from discord import ButtonStyle
from discord.ui import Button, DynamicItem, View

from bot import constants
from bot.client import Interaction, SandboxBot
from bot.errors import InvalidInput, NotAllowed
from bot.i18n import gettext
from bot.sandboxes.directory import LIVING
from bot.sandboxes.metadata import read_tags, write_tags
from bot.sandboxes.model import Actor, SandboxStatus
from bot.ui import listings
from bot.ui.buttons import ASKER, CUSTOM_ID, report_errors, require_asker

_ANY = "any"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which sandboxes are listed to whom: an owner's or everybody's, the living ones or those of one status; and of
    these all, or those with certain tags."""

    asker_id: int
    owner_id: int | None
    status: SandboxStatus | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)

    def custom_id(self, page: int) -> str:
        """What `PageButton` reads back; `page` counts from 0. `InvalidInput` if the tags do not fit in it."""
        custom_id = f"{CUSTOM_ID}page:{self.asker_id}:{self.owner_id or 0}:{self.status or _ANY}:{page}"
        if self.tags:
            custom_id += ":" + ",".join(write_tags(self.tags))
        if len(custom_id) > constants.CUSTOM_ID_CHARS:
            raise InvalidInput("There are several pages, and these tags are too long for a page's button. Give fewer.")
        return custom_id


async def read_page(
    bot: SandboxBot, actor: Actor, listing: Listing, page: int = 0
) -> tuple[discord.Embed, View | None]:
    """The page, counted from 0, and the buttons to those beside it; the last page if there are not so many any more.

    `NotAllowed` if the actor may not see these sandboxes.
    """
    if listing.owner_id != actor.id and not actor.is_admin:
        raise NotAllowed("Only an admin sees the sandboxes of others.")
    statuses = LIVING if listing.status is None else (listing.status,)
    total = await bot.manager.count(owner_id=listing.owner_id, statuses=statuses, tags=listing.tags)
    pages = max(1, -(-total // constants.PAGE_SIZE))
    page = min(page, pages - 1)
    shown = await bot.manager.list(
        owner_id=listing.owner_id,
        statuses=statuses,
        tags=listing.tags,
        limit=constants.PAGE_SIZE,
        offset=page * constants.PAGE_SIZE,
    )
    filtered = listing.status is not None or bool(listing.tags)
    embed = listings.sandboxes(shown, total, own=listing.owner_id == actor.id, filtered=filtered)
    if pages > 1:
        embed.set_footer(text=gettext("Page {page} of {pages}", page=page + 1, pages=pages))
    return embed, _page_buttons(listing, page, pages)


class PageButton(
    DynamicItem[Button[View]],
    template=CUSTOM_ID
    + "page:"
    + ASKER
    + r":(?P<owner>\d{1,20}):(?P<status>"
    + "|".join((_ANY, *SandboxStatus))
    + r"):(?P<page>\d{1,6})(?::(?P<tags>.+))?$",
):
    """Replaces a page by another one of the same listing, for whoever asked for it."""

    def __init__(self, listing: Listing, page: int, label: str) -> None:
        self.listing, self.page = listing, page
        super().__init__(Button(label=label, style=ButtonStyle.secondary, custom_id=listing.custom_id(page)))

    @classmethod
    async def from_custom_id(cls, _: discord.Interaction[Any], __: object, match: re.Match[str], /) -> Self:
        status = None if match["status"] == _ANY else SandboxStatus(match["status"])
        tags = read_tags(match["tags"].split(",")) if match["tags"] else {}
        listing = Listing(int(match["asker"]), int(match["owner"]) or None, status, tags)
        return cls(listing, int(match["page"]), "")

    @report_errors
    async def callback(self, interaction: Interaction) -> None:
        """Reads the page afresh, with the rights that the asker has now."""
        require_asker(interaction, self.listing.asker_id)
        bot = interaction.client
        embed, view = await read_page(bot, bot.actor(interaction.user), self.listing, self.page)
        await interaction.response.edit_message(embed=embed, view=view)


def _page_buttons(listing: Listing, page: int, pages: int) -> View | None:
    if pages == 1:
        return None
    view = View(timeout=None)
    if page > 0:
        view.add_item(PageButton(listing, page - 1, "◀ " + gettext("Newer")))
    if page < pages - 1:
        view.add_item(PageButton(listing, page + 1, gettext("Older") + " ▶"))
    return view
