"""`/sandbox`: a developer's own sandboxes."""

from __future__ import annotations

from discord import app_commands
from discord.ext import commands

from bot import answering
from bot.client import Interaction, SandboxBot
from bot.errors import InvalidInput
from bot.sandboxes.metadata import CreatedFrom
from bot.ui import credentials, listings, replies
from bot.ui.buttons import destroy_view, reset_view
from bot.ui.guild_permissions import find_guild, manages_here, require_manage_guild
from bot.ui.options import (
    SANDBOX,
    AnySandboxOption,
    BoundGuildOption,
    DatabaseFormOption,
    DurationOption,
    GuildOption,
    NameSetOption,
    SandboxOption,
    StatusOption,
    TagsOption,
)
from bot.ui.pagination import Listing, read_page
from bot.ui.signed_button import SignedButton
from sandbox_worker.standard_names import NameSet, wanted_form


@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
class SandboxGroup(commands.GroupCog, group_name="sandbox", group_description="Your own slice of the infrastructure"):
    """For everybody: whose sandbox it is, and so who may change it, is the manager's to decide."""

    def __init__(self, bot: SandboxBot) -> None:
        self.bot = bot

    @app_commands.command()
    @app_commands.describe(
        name="Of a-z, 0-9 and dashes; made up if left out",
        ttl="How long it lives, like 8h or 3d",
        description="What it is for",
        bind_here="Send this server's events to it",
        tags="Like team=red, ticket=7. No secrets: everybody who sees the sandbox sees them",
    )
    async def create(
        self,
        interaction: Interaction,
        name: app_commands.Range[str, 1, 100] | None = None,
        ttl: DurationOption | None = None,
        description: app_commands.Range[str, 1, 200] | None = None,
        bind_here: bool = False,
        tags: TagsOption | None = None,
    ) -> None:
        """Create a sandbox: a schema, a key prefix and a stream of its own."""
        servers = [await self._here(interaction)] if bind_here else []
        sandbox = await self.bot.manager.create(
            self.bot.actor(interaction.user),
            name=name,
            ttl=ttl,
            description=description,
            guild_ids=servers,
            metadata={"tags": tags or {}, "created_from": CreatedFrom.DISCORD},
        )
        await answering.of(interaction).show(replies.created(sandbox))

    @app_commands.command(name="list")
    @app_commands.describe(
        status="Only those of this status; otherwise all living ones",
        tags="Only those with these tags, like team=red, ticket=7",
    )
    async def list_(
        self, interaction: Interaction, status: StatusOption | None = None, tags: TagsOption | None = None
    ) -> None:
        """List your sandboxes."""
        listing = Listing(interaction.user.id, interaction.user.id, status, tags or {})
        embed, view = await read_page(self.bot, self.bot.actor(interaction.user), listing)
        await answering.of(interaction).show(embed, view=view)

    @app_commands.command()
    @app_commands.describe(sandbox="Which sandbox")
    async def status(self, interaction: Interaction, sandbox: SandboxOption) -> None:
        """Show how a sandbox is, as its stores and Discord answer right now."""
        health = await self.bot.manager.get_health(sandbox.id)
        await answering.of(interaction).show(replies.status(health, self.bot.manager.access.isolation))

    @app_commands.command()
    @app_commands.describe(sandbox="Which sandbox; one that is destroyed by its id")
    async def audit(self, interaction: Interaction, sandbox: AnySandboxOption) -> None:
        """Show what was done with a sandbox, and by whom."""
        entries = await self.bot.manager.get_audit(self.bot.actor(interaction.user), sandbox.id)
        await answering.of(interaction).show(listings.audit(sandbox, entries))

    @app_commands.command()
    @app_commands.describe(
        sandbox="Which sandbox",
        names="standard: also DATABASE_URL, REDIS_URL, NATS_URL and the like",
        database_url="How DATABASE_URL is written; with the standard names",
    )
    async def connect(
        self,
        interaction: Interaction,
        sandbox: SandboxOption,
        names: NameSetOption | None = None,
        database_url: DatabaseFormOption | None = None,
    ) -> None:
        """Get the environment of a sandbox's workers, with its credentials the first time."""
        form = wanted_form(names or NameSet.SANDBOX, database_url)
        await credentials.connect(interaction, sandbox, form=form)

    @app_commands.command()
    @app_commands.describe(sandbox="Which sandbox", by="How much longer it lives, like 8h or 3d")
    async def extend(self, interaction: Interaction, sandbox: SandboxOption, by: DurationOption) -> None:
        """Let a sandbox live longer; one that has just expired runs again."""
        extension = await self.bot.manager.extend_ttl(self.bot.actor(interaction.user), sandbox.id, by)
        await answering.of(interaction).show(replies.extended(extension))

    @app_commands.command(name="bind-guild")
    @app_commands.describe(sandbox="Which sandbox", guild="Which server; this one if left out")
    async def bind_guild(
        self, interaction: Interaction, sandbox: SandboxOption, guild: GuildOption | None = None
    ) -> None:
        """Send every event of a server to a sandbox."""
        guild_id = await self._here(interaction) if guild is None else guild
        server = await require_manage_guild(interaction, guild_id)
        actor = self.bot.actor(interaction.user)
        bound = await self.bot.manager.register_guild(actor, sandbox.id, guild_id)
        await answering.of(interaction).show(replies.bound(bound, server))

    @app_commands.command(name="unbind-guild")
    @app_commands.describe(guild="Which server; this one if left out")
    async def unbind_guild(self, interaction: Interaction, guild: BoundGuildOption | None = None) -> None:
        """Send a server's events to no sandbox any more."""
        guild_id = self._this_guild(interaction) if guild is None else guild
        actor, known = self.bot.actor(interaction.user), self.bot.get_guild(guild_id)
        sandbox = await self.bot.manager.unregister_guild(
            actor,
            guild_id,
            manages_guild=manages_here(interaction, guild_id),
            guild_name=known.name if known else None,
        )
        server = known or await find_guild(self.bot, guild_id)
        name = server.name if server else str(guild_id)
        if sandbox.belongs_to(actor):
            interaction.extras[SANDBOX] = sandbox.id
            embed = replies.unbound(sandbox, name)
        else:
            embed = replies.freed(name)
        await answering.of(interaction).show(embed)

    @app_commands.command()
    @app_commands.describe(sandbox="Which sandbox")
    async def reset(self, interaction: Interaction, sandbox: SandboxOption) -> None:
        """Put a sandbox back to how it was made, after asking."""
        view = await reset_view(self.bot, sandbox, interaction.user.id)
        await answering.of(interaction).show(replies.confirm_reset(sandbox), view=view)

    @app_commands.command()
    @app_commands.describe(sandbox="Which sandbox")
    async def destroy(self, interaction: Interaction, sandbox: SandboxOption) -> None:
        """Destroy a sandbox and all that is in it, after asking."""
        view = await destroy_view(self.bot, sandbox, interaction.user.id)
        await answering.of(interaction).show(replies.confirm_destroy(sandbox), view=view)

    @commands.Cog.listener()
    async def on_app_command_completion(self, interaction: Interaction, _: object) -> None:
        """Afterwards, so that whoever asks when something last happened is not told of the question."""
        if sandbox_id := interaction.extras.get(SANDBOX):
            await self.bot.manager.update_activity(sandbox_id)

    @staticmethod
    def _this_guild(interaction: Interaction) -> int:
        if interaction.guild_id is None:
            raise InvalidInput("There is no server here. Name one, or use the command in a server.")
        return interaction.guild_id

    async def _here(self, interaction: Interaction) -> int:
        """This server, if the asker may bind it."""
        guild_id = self._this_guild(interaction)
        await require_manage_guild(interaction, guild_id)
        return guild_id


async def setup(bot: SandboxBot) -> None:
    """Called by discord.py's `load_extension`; registers the buttons first, for old messages have some."""
    bot.add_dynamic_items(SignedButton)
    await bot.add_cog(SandboxGroup(bot))
