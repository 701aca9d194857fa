"""What the bot answers: embeds in the active locale, with times that Discord shows in the reader's own zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import discord
from discord.utils import format_dt

from bot import constants
from bot.durations import format_duration
from bot.i18n import Translatable, gettext
from bot.sandboxes.access.connection import ConnectionDetails
from bot.sandboxes.access.isolation import Enforcement, Isolation
from bot.sandboxes.health import Health, HealthLevel, RelayHealth, RoutingHealth, StoreHealth
from bot.sandboxes.metadata import write_tags
from bot.sandboxes.model import Extension, Sandbox, SandboxStatus
from bot.ui.listings import count_events, count_servers
from bot.ui.plain_text import as_written

_COLOURS = {
    SandboxStatus.RUNNING: discord.Colour.green(),
    SandboxStatus.EXPIRED: discord.Colour.orange(),
    SandboxStatus.DESTROYING: discord.Colour.dark_grey(),
    SandboxStatus.DESTROYED: discord.Colour.dark_grey(),
}


def created(sandbox: Sandbox) -> discord.Embed:
    """With the next step: to bind a server if none is bound yet, then to connect a worker. What has ended since it was
    made, when the question came again, is told as it is."""
    if sandbox.status is not SandboxStatus.RUNNING:
        return _about(sandbox, _title(sandbox))
    embed = _about(sandbox, gettext("Sandbox “{name}” is running", name=sandbox.name))
    embed.add_field(name=gettext("Next"), value=_next_step(sandbox), inline=False)
    return embed


def unanswered(sandbox: Sandbox, *, is_deserted: bool) -> discord.Embed:
    """To whoever has used a command or a button of a sandbox's worker."""
    text = gettext("No worker or bot of sandbox “{name}” has answered in time. Its log may say why.", name=sandbox.name)
    if is_deserted:
        text = gettext(
            "No worker or bot is connected to sandbox “{name}”, so nobody answers. Start yours with the environment "
            "from `/sandbox connect`. `sandbox-worker tail` only shows events.",
            name=sandbox.name,
        )
    return discord.Embed(description=text, colour=discord.Colour.orange())


_MARKS = {HealthLevel.HEALTHY: "✅", HealthLevel.DEGRADED: "⚠️", HealthLevel.UNHEALTHY: "❌"}


def status(health: Health, isolation: Isolation) -> discord.Embed:
    """With the names of its servers as far as Discord has told them."""
    sandbox = health.sandbox
    embed = _about(sandbox, _title(sandbox))
    shown = [as_written(guild.shown) for guild in health.routing.guilds]
    embed.set_field_at(2, name=gettext("Servers"), value=_listed(shown))
    embed.insert_field_at(0, name=gettext("Health"), value=_level(health), inline=False)
    embed.add_field(name=gettext("Last activity"), value=_activity(sandbox))
    if sandbox.tags:
        embed.add_field(name=gettext("Tags"), value=_listed(list(map(as_written, write_tags(sandbox.tags)))))
    if sandbox.description:
        embed.description = as_written(sandbox.description)
    for name, store, isolated in (
        ("PostgreSQL", health.postgres, isolation.postgres),
        ("Redis", health.redis, isolation.redis),
        ("NATS", health.nats, isolation.nats),
    ):
        embed.add_field(name=name, value=f"{_store(store)}\n{_isolation(isolated)}", inline=False)
    embed.add_field(name=gettext("Routing"), value=_routing(health.routing), inline=False)
    embed.add_field(name=gettext("Relay"), value=_relay(health.relay), inline=False)
    return embed


def connection(details: ConnectionDetails, *, replaces_lost: bool = False) -> tuple[discord.Embed, tuple[str, bytes]]:
    """The environment as text and as a file, by name and content, which alone has the token in it. `replaces_lost`: in
    the place of credentials that were made for the same question, and whose answer was lost."""
    sandbox = details.sandbox
    embed = discord.Embed(
        title=gettext("Connect to “{name}”", name=sandbox.name),
        description=f"```sh\n{details.as_dotenv(secret=False)}```",
        colour=discord.Colour.green(),
    )
    embed.add_field(name=gettext("Expires"), value=_relative(sandbox))
    if replaces_lost:
        text = gettext("The bot was restarted before it could show the first ones. Those are ended, and these are new.")
        embed.add_field(name=gettext("Credentials"), value=text, inline=False)
    if details.has_bot_token:
        text = gettext(
            "A bot of any library logs in with `SANDBOX_BOT_TOKEN` in the place of Discord's token, at "
            "`SANDBOX_BOT_API` and `SANDBOX_BOT_GATEWAY`. A worker of the kit needs none of them."
        )
        embed.add_field(name=gettext("Your bot"), value=text, inline=False)
    if details.loopback_variables:
        text = gettext(
            "This works on the bot's own machine alone: {variables} are addresses of loopback. For other machines, "
            "whoever operates the bot sets `[workers]` and `[relay]` in its `config.toml`.",
            variables=", ".join(f"`{name}`" for name in details.loopback_variables),
        )
        embed.add_field(name=gettext("Reached from"), value=text, inline=False)
    if details.has_token:
        footer = gettext("The file also holds the credentials. They are shown this once; keep the file to yourself.")
    else:
        footer = gettext("The credentials were shown before and are kept nowhere. New ones end the old ones.")
    embed.set_footer(text=footer)
    return embed, (f"{sandbox.name}.env", details.as_dotenv().encode())


def extended(extension: Extension) -> discord.Embed:
    """Says so if the extension was cut short by the longest life."""
    embed = _about(extension.sandbox, gettext("Sandbox “{name}” lives longer", name=extension.sandbox.name))
    if extension.capped:
        embed.description = gettext("That is the longest life a sandbox may have, so the extension was cut short.")
    return embed


def confirm_extend(sandbox: Sandbox, by: timedelta) -> discord.Embed:
    """The question before an extension that a button in a channel offers."""
    title = gettext("Extend “{name}” by {duration}?", name=sandbox.name, duration=format_duration(by))
    return discord.Embed(title=title, colour=discord.Colour.orange())


def bound(sandbox: Sandbox, server: str) -> discord.Embed:
    """`server`: its name, as Discord has it."""
    text = gettext(
        "Every event of **{server}** now goes to sandbox “{name}”.",
        server=as_written(server),
        name=sandbox.name,
    )
    return _about(sandbox, gettext("Server bound"), text)


def unbound(sandbox: Sandbox, server: str) -> discord.Embed:
    """`server`: its name, or its id if the bot is not in it any more."""
    text = gettext(
        "No event of **{server}** goes to sandbox “{name}” any more.",
        server=as_written(server),
        name=sandbox.name,
    )
    return _about(sandbox, gettext("Server unbound"), text)


def freed(server: str) -> discord.Embed:
    """The same to somebody who manages the server: of the sandbox, which is another's, it tells nothing."""
    text = gettext(
        "No event of **{server}** goes to a sandbox any more. The owner of the one that it was bound to is told.",
        server=as_written(server),
    )
    return discord.Embed(title=gettext("Server unbound"), description=text)


def confirm_destroy(sandbox: Sandbox) -> discord.Embed:
    """The question before a destruction, with what would be lost."""
    text = gettext(
        "Its schema `{schema}`, its Redis keys and its stream of events are deleted for good. "
        "It has {servers} bound to it.",
        schema=sandbox.schema_name,
        servers=count_servers(sandbox),
    )
    title = gettext("Destroy “{name}”?", name=sandbox.name)
    return discord.Embed(title=title, description=text, colour=discord.Colour.red())


def confirm_reset(sandbox: Sandbox) -> discord.Embed:
    """The question before a reset, with what would be lost and what stays."""
    text = gettext(
        "All that is in its schema `{schema}`, its Redis keys and its events are deleted for good, and it is as when "
        "it was made. It keeps its servers, its credentials and its expiry; its workers lose their sessions.",
        schema=sandbox.schema_name,
    )
    title = gettext("Reset “{name}”?", name=sandbox.name)
    return discord.Embed(title=title, description=text, colour=discord.Colour.red())


def resetting(name: str) -> discord.Embed:
    """Shown until `was_reset` replaces it."""
    return discord.Embed(description=gettext("Resetting “{name}” …", name=name), colour=discord.Colour.dark_grey())


def was_reset(sandbox: Sandbox) -> discord.Embed:
    """The sandbox as it is after the reset."""
    return _about(sandbox, gettext("Sandbox “{name}” is as when it was made", name=sandbox.name))


def destroying(name: str) -> discord.Embed:
    """Shown until `destroyed` replaces it."""
    return discord.Embed(description=gettext("Destroying “{name}” …", name=name), colour=discord.Colour.dark_grey())


def destroyed(sandbox: Sandbox) -> discord.Embed:
    """Everything of it is gone from all stores."""
    text = gettext("Its schema, its keys and its stream are gone. The name is free again.")
    return discord.Embed(title=gettext("Sandbox “{name}” is destroyed", name=sandbox.name), description=text)


def cancelled(name: str) -> discord.Embed:
    """The asker has decided to leave the sandbox as it is."""
    return discord.Embed(description=gettext("“{name}” stays as it is.", name=name), colour=discord.Colour.green())


def _about(sandbox: Sandbox, title: str, description: str | None = None) -> discord.Embed:
    embed = discord.Embed(title=title, description=description, colour=_COLOURS.get(sandbox.status))
    embed.add_field(name=gettext("Expires"), value=_relative(sandbox))
    embed.add_field(name=gettext("Id"), value=f"`{sandbox.short_id}`")
    embed.add_field(name=gettext("Servers"), value=_listed([f"`{guild_id}`" for guild_id in sandbox.guild_ids]))
    return embed


def _title(sandbox: Sandbox) -> str:
    return gettext("Sandbox “{name}” is {status}", name=sandbox.name, status=Translatable(sandbox.status))


def _next_step(sandbox: Sandbox) -> str:
    connect = gettext("`/sandbox connect {name}` gives your worker its environment.", name=sandbox.name)
    if sandbox.guild_ids:
        return connect
    bind = gettext("`/sandbox bind-guild {name}` in a server sends its events here.", name=sandbox.name)
    return f"{bind} {connect}"


def _store(store: StoreHealth) -> str:
    return f"{'✅' if store.ok else '❌'} {store.summary}"


def _level(health: Health) -> str:
    """The reasons on a line each, as many as fit."""
    return _fitting([f"{_MARKS[health.level]} {gettext(health.level)}", *map(as_written, health.reasons)], "\n")


def _routing(routing: RoutingHealth) -> str:
    last = gettext("no event yet")
    if routing.last_event_at is not None:
        last = gettext("last event {when}", when=format_dt(routing.last_event_at, "R"))
    return _fitting([f"{routing.summary} · {last}", *map(as_written, routing.unknown)], "\n")


def _relay(relay: RelayHealth | None) -> str:
    if relay is None:
        return gettext("not known")
    clients = (
        gettext(
            "{client}, connected {when}",
            client=as_written(client.summary),
            when=format_dt(client.connected_since, "R"),
        )
        for client in relay.clients
    )
    return _fitting([relay.summary, *clients], "\n")


def _isolation(state: Enforcement) -> str:
    return (
        gettext("isolation enforced")
        if state.enforced
        else gettext("isolation by convention: {reason}", reason=state.reason)
    )


def _relative(sandbox: Sandbox) -> str:
    return f"{format_dt(sandbox.expires_at, 'R')} ({format_dt(sandbox.expires_at, 'f')})"


def _activity(sandbox: Sandbox) -> str:
    if sandbox.last_activity_at is None:
        return gettext("none yet")
    return f"{format_dt(sandbox.last_activity_at, 'R')} · {count_events(sandbox)}"


def _listed(servers: Sequence[str]) -> str:
    return _fitting(servers, ", ") or gettext("none")


def _fitting(parts: Sequence[str], between: str) -> str:
    """As many as Discord lets stand in a field."""
    shown: list[str] = []
    for part in parts:
        if len(between.join([*shown, part])) > constants.FIELD_CHARS:
            return between.join(shown) + " …"
        shown.append(part)
    return between.join(shown)
