"""The button that follows a dry run: it drops what is orphaned when it is pressed, not what was shown."""

from __future__ import annotations

from discord.ui import View

from bot import answering
from bot.client import Interaction, SandboxBot
from bot.custom_ids import CustomId
from bot.errors import NotAllowed
from bot.i18n import gettext
from bot.sandboxes.idempotency import Result
from bot.sandboxes.lifecycle.orphans import Orphan, OrphanKind, Proof
from bot.ui import admin_replies
from bot.ui.signed_button import make_button, make_view, on_press

_DROP = "orphans"


async def orphans_view(bot: SandboxBot, asker_id: int) -> View:
    """Goes with `admin_replies.orphans`, if any of them is ours to drop."""
    return make_view(await make_button(bot, CustomId(_DROP, "", asker_id), gettext("Drop them")))


@on_press(_DROP, in_place=True)
async def _drop(interaction: Interaction, _: str) -> None:
    """For the asker, if still an admin; `CleanupRefused` where nothing seems to belong to a living sandbox."""
    bot = interaction.client
    actor = bot.actor(interaction.user)
    if not actor.is_admin:
        raise NotAllowed("Only the bot's admins may do that.")

    async def drop() -> Result:
        return {"dropped": [(orphan.kind, orphan.name, orphan.proof) for orphan in await bot.orphans.drop()]}

    done = await bot.manager.idempotency.run(actor, "drop orphans", drop)
    dropped = [Orphan(OrphanKind(kind), name, Proof(proof)) for kind, name, proof in done["dropped"]]
    await answering.of(interaction).show(admin_replies.dropped(dropped))
