"""`/sandbox-admin`: everybody's sandboxes, and what is left of those that are gone."""

from __future__ import annotations

from dataclasses import asdict

import discord
from discord import app_commands
from discord.ext import commands

from bot import answering
from bot.client import Interaction, SandboxBot
from bot.errors import NotAllowed
from bot.sandboxes.idempotency import Result
from bot.sandboxes.lifecycle.orphans import is_ours
from bot.sandboxes.lifecycle.reaper import Sweep
from bot.ui import admin_replies, replies
from bot.ui.buttons import destroy_view
from bot.ui.options import SandboxOption, StatusOption, TagsOption
from bot.ui.orphan_button import orphans_view
from bot.ui.pagination import Listing, read_page


@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
@app_commands.default_permissions(manage_guild=True)
class AdminGroup(commands.GroupCog, group_name="sandbox-admin", group_description="Everybody's sandboxes"):
    """Whom Discord shows it is a courtesy: any server's managers. Who may use it is decided here."""

    def __init__(self, bot: SandboxBot) -> None:
        self.bot = bot

    async def interaction_check(self, interaction: discord.Interaction, /) -> bool:
        """Runs before every command of the group, and raises instead of returning False: the user is told why."""
        if not self.bot.actor(interaction.user).is_admin:
            raise app_commands.CheckFailure from NotAllowed("Only the bot's admins may do that.")
        return True

    @app_commands.command(name="list")
    @app_commands.describe(
        owner="Only this person's",
        status="Only those of this status; otherwise all living ones",
        tags="Only those with these tags, like team=red, ticket=7",
    )
    async def list_(
        self,
        interaction: Interaction,
        owner: discord.User | None = None,
        status: StatusOption | None = None,
        tags: TagsOption | None = None,
    ) -> None:
        """List everybody's sandboxes."""
        listing = Listing(interaction.user.id, owner.id if owner else None, status, tags or {})
        embed, view = await read_page(self.bot, self.bot.actor(interaction.user), listing)
        await answering.of(interaction).show(embed, view=view)

    @app_commands.command()
    async def orphans(self, interaction: Interaction) -> None:
        """Find what belongs to no living sandbox any more, and drop it if told to."""
        found = await self.bot.orphans.find()
        view = await orphans_view(self.bot, interaction.user.id) if any(map(is_ours, found)) else None
        await answering.of(interaction).show(admin_replies.orphans(found), view=view)

    @app_commands.command()
    async def sweep(self, interaction: Interaction) -> None:
        """Do now what is due: warn, expire, and take down what is over or stuck."""
        actor = self.bot.actor(interaction.user)
        done = await self.bot.manager.idempotency.run(actor, "sweep", self._sweep)
        await answering.of(interaction).show(admin_replies.swept(Sweep(**done)))

    @app_commands.command()
    @app_commands.describe(sandbox="Which sandbox")
    async def destroy(self, interaction: Interaction, sandbox: SandboxOption) -> None:
        """Destroy anybody's sandbox and all that is in it, after asking."""
        view = await destroy_view(self.bot, sandbox, interaction.user.id)
        await answering.of(interaction).show(replies.confirm_destroy(sandbox), view=view)

    async def _sweep(self) -> Result:
        return asdict(await self.bot.reaper.sweep())


async def setup(bot: SandboxBot) -> None:
    """Called by discord.py's `load_extension`."""
    await bot.add_cog(AdminGroup(bot))
