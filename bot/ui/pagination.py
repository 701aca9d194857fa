"""Lists of sandboxes, a page at a time. A page is read afresh whenever it is turned to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import discord
from discord import ButtonStyle
from discord.ui import View

from bot import answering, constants
from bot.client import Interaction, SandboxBot
from bot.custom_ids import CustomId
from bot.errors import InvalidInput, NotAllowed
from bot.i18n import gettext
from bot.sandboxes.directory import LIVING
from bot.sandboxes.metadata import read_tags, write_tags
from bot.sandboxes.model import Actor, SandboxStatus
from bot.ui import listings
from bot.ui.signed_button import SignedButton, make_button, make_view, on_press

_TURN = "page"
_ANY = "any"
_OWN = "own"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which sandboxes are listed to whom: an owner's or everybody's, the living ones or those of one status; and of
    these all, or those with certain tags."""

    asker_id: int
    owner_id: int | None
    status: SandboxStatus | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)

    def custom_id(self, page: int) -> CustomId:
        """What `read` reads back; `page` counts from 0. `InvalidInput` if the tags do not fit in it."""
        owner = _OWN if self.owner_id == self.asker_id else self.owner_id or 0
        arguments = f"{owner}:{self.status or _ANY}:{page}:{','.join(write_tags(self.tags))}"
        custom_id = CustomId(_TURN, arguments, self.asker_id)
        if not custom_id.fits:
            raise InvalidInput("There are several pages, and these tags are too long for a page's button. Give fewer.")
        return custom_id

    @classmethod
    def read(cls, asker_id: int, arguments: str) -> tuple[Self, int]:
        """The listing and the page that stand in a custom id."""
        owner, status, page, tags = arguments.split(":", 3)
        owner_id = asker_id if owner == _OWN else int(owner) or None
        chosen = None if status == _ANY else SandboxStatus(status)
        return cls(asker_id, owner_id, chosen, read_tags(tags.split(",")) if tags else {}), int(page)


async def read_page(
    bot: SandboxBot, actor: Actor, listing: Listing, page: int = 0
) -> tuple[discord.Embed, View | None]:
    """The page, counted from 0, and the buttons to those beside it; the last page if there are not so many any more.

    `NotAllowed` if the actor may not see these sandboxes.
    """
    if listing.owner_id != actor.id and not actor.is_admin:
        raise NotAllowed("Only an admin sees the sandboxes of others.")
    await bot.manager.refresh_activity()
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
    return embed, await _page_buttons(bot, listing, page, pages)


@on_press(_TURN, in_place=True)
async def _turn(interaction: Interaction, arguments: str) -> None:
    """Replaces a page by another one of the same listing, with the rights that the asker has now."""
    bot = interaction.client
    listing, page = Listing.read(interaction.user.id, arguments)
    embed, view = await read_page(bot, bot.actor(interaction.user), listing, page)
    await answering.of(interaction).show(embed, view=view)


async def _page_buttons(bot: SandboxBot, listing: Listing, page: int, pages: int) -> View | None:
    buttons = []
    if page > 0:
        buttons.append(await _page_button(bot, listing, page - 1, "◀ " + gettext("Newer")))
    if page < pages - 1:
        buttons.append(await _page_button(bot, listing, page + 1, gettext("Older") + " ▶"))
    return make_view(*buttons) if buttons else None


async def _page_button(bot: SandboxBot, listing: Listing, page: int, label: str) -> SignedButton:
    return await make_button(bot, listing.custom_id(page), label, ButtonStyle.secondary)
