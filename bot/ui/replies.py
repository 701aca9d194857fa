"""What the bot says: embeds, with times that Discord shows in the reader's own zone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import timedelta

import discord
from discord.utils import escape_markdown, format_dt

from bot.language import Phrase, say
from bot.sandboxes.access import Enforcement, Isolation
from bot.sandboxes.connection import ConnectionDetails
from bot.sandboxes.health import Health, StoreHealth
from bot.sandboxes.model import Extension, Sandbox, SandboxStatus
from bot.sandboxes.notices import Delivery, NoticeKind
from bot.ui.listings import count_events, count_servers

_COLOURS = {
    SandboxStatus.RUNNING: discord.Colour.green(),
    SandboxStatus.EXPIRED: discord.Colour.orange(),
    SandboxStatus.DESTROYING: discord.Colour.dark_grey(),
    SandboxStatus.DESTROYED: discord.Colour.dark_grey(),
}


_LONGEST_FIELD = 1000


def created(sandbox: Sandbox) -> discord.Embed:
    embed = _about(sandbox, say("Sandbox “{name}” is running", name=sandbox.name))
    embed.add_field(name=say("Next"), value=_next_step(sandbox), inline=False)
    return embed


def unanswered(sandbox: Sandbox, *, is_deserted: bool) -> discord.Embed:
    """To whoever has used a command or a button of a sandbox's worker."""
    text = say("No worker of sandbox “{name}” has answered within two seconds. Its log may say why.", name=sandbox.name)
    if is_deserted:
        text = say(
            "No worker is connected to sandbox “{name}”, so nobody answers. Start one with `sandbox-worker tail`, "
            "or your own, with the environment from `/sandbox connect`.",
            name=sandbox.name,
        )
    return discord.Embed(description=text, colour=discord.Colour.orange())


def status(health: Health, isolation: Isolation, servers: Mapping[int, str]) -> discord.Embed:
    """`servers`: the names of those bound to it, as far as they are known."""
    sandbox = health.sandbox
    embed = _about(sandbox, say("Sandbox “{name}” is {status}", name=sandbox.name, status=Phrase(sandbox.status)))
    shown = [escape_markdown(servers.get(guild_id, str(guild_id))) for guild_id in sandbox.guild_ids]
    embed.set_field_at(2, name=say("Servers"), value=_listed(shown))
    embed.add_field(name=say("Last activity"), value=_activity(sandbox))
    if sandbox.description:
        embed.description = escape_markdown(sandbox.description)
    for name, store, isolated in (
        ("PostgreSQL", health.postgres, isolation.postgres),
        ("Redis", health.redis, isolation.redis),
        ("NATS", health.nats, isolation.nats),
    ):
        embed.add_field(name=name, value=f"{_store(store)}\n{_isolation(isolated)}", inline=False)
    return embed


def connection(details: ConnectionDetails) -> tuple[discord.Embed, discord.File]:
    """The environment as text and as a file, which alone has the token in it."""
    sandbox = details.sandbox
    embed = discord.Embed(
        title=say("Connect to “{name}”", name=sandbox.name),
        description=f"```sh\n{details.as_dotenv(secret=False)}```",
        colour=discord.Colour.green(),
    )
    embed.add_field(name=say("Expires"), value=_relative(sandbox))
    if details.has_token:
        footer = say("The file also holds the credentials. They are shown this once; keep the file to yourself.")
    else:
        footer = say("The credentials were shown before and are kept nowhere. New ones end the old ones.")
    embed.set_footer(text=footer)
    dotenv = io.BytesIO(details.as_dotenv().encode())
    return embed, discord.File(dotenv, filename=f"{sandbox.name}.env")


def extended(extension: Extension) -> discord.Embed:
    embed = _about(extension.sandbox, say("Sandbox “{name}” lives longer", name=extension.sandbox.name))
    if extension.capped:
        embed.description = say("That is the longest life a sandbox may have, so the extension was cut short.")
    return embed


def bound(sandbox: Sandbox, server: str) -> discord.Embed:
    text = say(
        "Every event of **{server}** now goes to sandbox “{name}”.",
        server=escape_markdown(server),
        name=sandbox.name,
    )
    return _about(sandbox, say("Server bound"), text)


def unbound(sandbox: Sandbox, server: str) -> discord.Embed:
    text = say(
        "No event of **{server}** goes to sandbox “{name}” any more.",
        server=escape_markdown(server),
        name=sandbox.name,
    )
    return _about(sandbox, say("Server unbound"), text)


def confirm_destroy(sandbox: Sandbox) -> discord.Embed:
    text = say(
        "Its schema `{schema}`, its Redis keys and its stream of events are deleted for good. "
        "It has {servers} bound to it.",
        schema=sandbox.schema_name,
        servers=count_servers(sandbox),
    )
    title = say("Destroy “{name}”?", name=sandbox.name)
    return discord.Embed(title=title, description=text, colour=discord.Colour.red())


def confirm_reset(sandbox: Sandbox) -> discord.Embed:
    text = say(
        "All that is in its schema `{schema}`, its Redis keys and its events are deleted for good, and it is as when "
        "it was made. It keeps its servers, its credentials and its expiry; its workers lose their sessions.",
        schema=sandbox.schema_name,
    )
    title = say("Reset “{name}”?", name=sandbox.name)
    return discord.Embed(title=title, description=text, colour=discord.Colour.red())


def resetting(name: str) -> discord.Embed:
    return discord.Embed(description=say("Resetting “{name}” …", name=name), colour=discord.Colour.dark_grey())


def was_reset(sandbox: Sandbox) -> discord.Embed:
    return _about(sandbox, say("Sandbox “{name}” is as when it was made", name=sandbox.name))


def destroying(name: str) -> discord.Embed:
    return discord.Embed(description=say("Destroying “{name}” …", name=name), colour=discord.Colour.dark_grey())


def destroyed(sandbox: Sandbox) -> discord.Embed:
    text = say("Its schema, its keys and its stream are gone. The name is free again.")
    return discord.Embed(title=say("Sandbox “{name}” is destroyed", name=sandbox.name), description=text)


def kept(name: str) -> discord.Embed:
    return discord.Embed(description=say("“{name}” stays as it is.", name=name), colour=discord.Colour.green())


def notice(delivery: Delivery, sandbox: Sandbox, grace: timedelta) -> discord.Embed:
    """The direct message about an expiry or a removed bot. In English: nobody has just said what they speak."""
    own = delivery.recipient_id == sandbox.owner_id
    which = f"Your sandbox “{sandbox.name}”" if own else f"Sandbox “{sandbox.name}” of <@{sandbox.owner_id}>"
    when = format_dt(sandbox.expires_at, "R")
    if delivery.kind is NoticeKind.EXPIRY_WARNING:
        title, text = "A sandbox is about to expire", f"{which} expires {when}."
    elif delivery.kind is NoticeKind.GUILD_REMOVED:
        title = "The bot was removed from a server"
        server = f"**{escape_markdown(delivery.guild_name)}**" if delivery.guild_name else f"server {delivery.guild_id}"
        text = (
            f"{which} gets no events of {server} any more. Invite the bot again and bind the server to get them back."
        )
    else:
        deleted = format_dt(sandbox.expires_at + grace, "R")
        title = "A sandbox has expired"
        text = f"{which} expired {when} and gets no events any more. Its data is deleted {deleted}."
    embed = discord.Embed(title=title, description=text, colour=discord.Colour.orange())
    return embed.set_footer(text=notice_footer(delivery))


def notice_footer(delivery: Delivery) -> str:
    """By which the bot knows its own notice again."""
    return f"Notice {delivery.notice_id}"


def _about(sandbox: Sandbox, title: str, description: str | None = None) -> discord.Embed:
    embed = discord.Embed(title=title, description=description, colour=_COLOURS.get(sandbox.status))
    embed.add_field(name=say("Expires"), value=_relative(sandbox))
    embed.add_field(name=say("Id"), value=f"`{sandbox.short_id}`")
    embed.add_field(name=say("Servers"), value=_listed([f"`{guild_id}`" for guild_id in sandbox.guild_ids]))
    return embed


def _next_step(sandbox: Sandbox) -> str:
    connect = say("`/sandbox connect {name}` gives your worker its environment.", name=sandbox.name)
    if sandbox.guild_ids:
        return connect
    bind = say("`/sandbox bind-guild {name}` in a server sends its events here.", name=sandbox.name)
    return f"{bind} {connect}"


def _store(store: StoreHealth) -> str:
    return f"{'✅' if store.ok else '❌'} {store.summary}"


def _isolation(state: Enforcement) -> str:
    return (
        say("isolation enforced") if state.enforced else say("isolation by convention: {reason}", reason=state.reason)
    )


def _relative(sandbox: Sandbox) -> str:
    return f"{format_dt(sandbox.expires_at, 'R')} ({format_dt(sandbox.expires_at, 'f')})"


def _activity(sandbox: Sandbox) -> str:
    if sandbox.last_activity_at is None:
        return say("none yet")
    return f"{format_dt(sandbox.last_activity_at, 'R')} · {count_events(sandbox)}"


def _listed(servers: Sequence[str]) -> str:
    """As many as Discord lets stand in a field."""
    shown: list[str] = []
    for server in servers:
        if len(", ".join([*shown, server])) > _LONGEST_FIELD:
            return ", ".join(shown) + " …"
        shown.append(server)
    return ", ".join(shown) or say("none")
