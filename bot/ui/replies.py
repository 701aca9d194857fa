"""What the bot says: embeds, with times that Discord shows in the reader's own zone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import timedelta

import discord
from discord.utils import format_dt

from bot.sandboxes.access import Isolation
from bot.sandboxes.connection import ConnectionDetails
from bot.sandboxes.health import Health, StoreHealth
from bot.sandboxes.model import Extension, Sandbox, SandboxStatus
from bot.sandboxes.notices import Delivery, NoticeKind

_COLOURS = {
    SandboxStatus.RUNNING: discord.Colour.green(),
    SandboxStatus.EXPIRED: discord.Colour.orange(),
    SandboxStatus.DESTROYING: discord.Colour.dark_grey(),
    SandboxStatus.DESTROYED: discord.Colour.dark_grey(),
}
_MARKS = {
    SandboxStatus.RUNNING: "🟢",
    SandboxStatus.EXPIRED: "🟠",
    SandboxStatus.PENDING: "⚪",
    SandboxStatus.CREATING: "⚪",
    SandboxStatus.DESTROYING: "⚫",
    SandboxStatus.DESTROYED: "⚫",
}
LIST_LIMIT = 20


def created(sandbox: Sandbox) -> discord.Embed:
    embed = _about(sandbox, f"Sandbox “{sandbox.name}” is running")
    embed.add_field(name="Next", value=_next_step(sandbox), inline=False)
    return embed


def listing(sandboxes: Sequence[Sandbox]) -> discord.Embed:
    """At most `LIST_LIMIT` of them; one more in the sequence says that there are more."""
    if not sandboxes:
        return discord.Embed(description="You have no sandboxes. `/sandbox create` makes one.")
    embed = discord.Embed(title="Your sandboxes", colour=discord.Colour.blurple())
    for sandbox in sandboxes[:LIST_LIMIT]:
        embed.add_field(
            name=f"{_MARKS[sandbox.status]} {sandbox.name}",
            value=f"`{sandbox.short_id}` · {sandbox.status} · {_until(sandbox)} · {_servers(sandbox)}",
            inline=False,
        )
    if len(sandboxes) > LIST_LIMIT:
        embed.set_footer(text=f"These are the newest {LIST_LIMIT}; there are more.")
    return embed


def status(health: Health, isolation: Isolation) -> discord.Embed:
    embed = _about(health.sandbox, f"Sandbox “{health.sandbox.name}” is {health.sandbox.status}")
    if health.sandbox.description:
        embed.description = discord.utils.escape_markdown(health.sandbox.description)
    for name, store, isolated in (
        ("PostgreSQL", health.postgres, isolation.postgres),
        ("Redis", health.redis, isolation.redis),
        ("NATS", health.nats, isolation.nats),
    ):
        embed.add_field(name=name, value=f"{_store(store)}\nisolation {isolated}", inline=False)
    return embed


def connection(details: ConnectionDetails) -> tuple[discord.Embed, discord.File]:
    """The environment as text and as a file, which alone has the token in it."""
    sandbox = details.sandbox
    embed = discord.Embed(
        title=f"Connect to “{sandbox.name}”",
        description=f"```sh\n{details.as_dotenv(secret=False)}```",
        colour=discord.Colour.green(),
    )
    embed.add_field(name="Expires", value=_relative(sandbox))
    if details.has_token:
        footer = "The file also holds the credentials. They are shown this once; keep the file to yourself."
    else:
        footer = "The credentials were shown before and are kept nowhere. New ones end the old ones."
    embed.set_footer(text=footer)
    dotenv = io.BytesIO(details.as_dotenv().encode())
    return embed, discord.File(dotenv, filename=f"{sandbox.name}.env")


def extended(extension: Extension) -> discord.Embed:
    embed = _about(extension.sandbox, f"Sandbox “{extension.sandbox.name}” lives longer")
    if extension.capped:
        embed.description = "That is the longest life a sandbox may have, so the extension was cut short."
    return embed


def bound(sandbox: Sandbox, server: str) -> discord.Embed:
    text = f"Every event of **{discord.utils.escape_markdown(server)}** now goes to sandbox “{sandbox.name}”."
    return _about(sandbox, "Server bound", text)


def unbound(sandbox: Sandbox, server: str) -> discord.Embed:
    text = f"No event of **{discord.utils.escape_markdown(server)}** goes to sandbox “{sandbox.name}” any more."
    return _about(sandbox, "Server unbound", text)


def confirm_destroy(sandbox: Sandbox) -> discord.Embed:
    text = (
        f"Its schema `{sandbox.schema_name}`, its Redis keys and its stream of events are deleted for good. "
        f"It has {_servers(sandbox)} bound to it."
    )
    return discord.Embed(title=f"Destroy “{sandbox.name}”?", description=text, colour=discord.Colour.red())


def destroying(name: str) -> discord.Embed:
    return discord.Embed(description=f"Destroying “{name}” …", colour=discord.Colour.dark_grey())


def destroyed(sandbox: Sandbox) -> discord.Embed:
    text = "Its schema, its keys and its stream are gone. The name is free again."
    return discord.Embed(title=f"Sandbox “{sandbox.name}” is destroyed", description=text)


def kept(name: str) -> discord.Embed:
    return discord.Embed(description=f"“{name}” stays as it is.", colour=discord.Colour.green())


def notice(delivery: Delivery, sandbox: Sandbox, grace: timedelta) -> discord.Embed:
    """The direct message about an expiry that is near or has come."""
    own = delivery.recipient_id == sandbox.owner_id
    which = f"Your sandbox “{sandbox.name}”" if own else f"Sandbox “{sandbox.name}” of <@{sandbox.owner_id}>"
    when = format_dt(sandbox.expires_at, "R")
    if delivery.kind is NoticeKind.EXPIRY_WARNING:
        title, text = "A sandbox is about to expire", f"{which} expires {when}."
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
    embed.add_field(name="Expires", value=_relative(sandbox))
    embed.add_field(name="Id", value=f"`{sandbox.short_id}`")
    embed.add_field(name="Servers", value=_server_ids(sandbox))
    return embed


def _next_step(sandbox: Sandbox) -> str:
    connect = f"`/sandbox connect {sandbox.name}` gives your worker its environment."
    if sandbox.guild_ids:
        return connect
    return f"`/sandbox bind-guild {sandbox.name}` in a server sends its events here. {connect}"


def _store(store: StoreHealth) -> str:
    return f"{'✅' if store.ok else '❌'} {store.summary}"


def _relative(sandbox: Sandbox) -> str:
    return f"{format_dt(sandbox.expires_at, 'R')} ({format_dt(sandbox.expires_at, 'f')})"


def _until(sandbox: Sandbox) -> str:
    verb = "expires" if sandbox.status is SandboxStatus.RUNNING else "expired"
    return f"{verb} {format_dt(sandbox.expires_at, 'R')}"


def _servers(sandbox: Sandbox) -> str:
    count = len(sandbox.guild_ids)
    return "1 server" if count == 1 else f"{count or 'no'} servers"


def _server_ids(sandbox: Sandbox) -> str:
    shown = ", ".join(f"`{guild_id}`" for guild_id in sandbox.guild_ids[:20])
    return shown + (" …" if len(sandbox.guild_ids) > 20 else "") or "none"
