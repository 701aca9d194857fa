"""`sandbox-bot sandbox …`: sandboxes for scripts and for whoever operates the bot, who may change every one."""

from __future__ import annotations

from typing import Annotated

import typer

from bot import constants, names
from bot.cli import audit_commands, env_command, json_data, maintenance, rendering, status_command
from bot.cli.runtime import (
    EX_FAILED,
    EX_USAGE,
    EXIT_CODES,
    Config,
    DryRun,
    Json,
    Yes,
    confirm_or_exit,
    exit_with_error,
    operator,
    print_errors,
    run_with_manager,
)
from bot.durations import parse_duration
from bot.errors import SandboxError
from bot.sandboxes.directory import LIVING
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.metadata import CreatedFrom, read_tags
from bot.sandboxes.model import Extension, Sandbox, SandboxStatus

cli = typer.Typer(
    help="Create, inspect, change and destroy sandboxes without Discord; also while the bot runs.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
cli.add_typer(status_command.cli)
cli.add_typer(env_command.cli)
cli.add_typer(audit_commands.cli)
cli.add_typer(maintenance.cli)

Wanted = Annotated[str, typer.Argument(metavar="SANDBOX", help="Its name, its id or the first eight digits of that.")]
Owner = Annotated[str | None, typer.Option("--owner", help="The Discord id of its owner.")]
Guild = Annotated[str, typer.Argument(metavar="GUILD", help="The id of a Discord server.")]


@cli.command()
def create(
    owner: Annotated[str, typer.Option("--owner", help="The Discord id of its owner, whose quota counts.")],
    name: Annotated[str | None, typer.Argument(help="3 to 40 of a-z, 0-9 and dashes; made up if left out.")] = None,
    ttl: Annotated[str | None, typer.Option("--ttl", help="How long it lives, like 8h or 3d.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    guild: Annotated[list[str] | None, typer.Option("--guild", help="Bind this Discord server; repeatable.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="NAME=TEXT", help="Repeatable. No secrets: everybody who sees the sandbox sees its tags."
        ),
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Create a sandbox for somebody."""

    async def work(manager: SandboxManager) -> Sandbox:
        return await manager.create(
            operator(),
            owner_id=_user_id(owner),
            name=name,
            ttl=parse_duration(ttl) if ttl is not None else None,
            description=description,
            guild_ids=[names.check_snowflake(guild_id, "server id") for guild_id in guild or ()],
            metadata={"tags": read_tags(tag or ()), "created_from": CreatedFrom.CLI},
        )

    _show(run_with_manager(work, config, "creating", as_json=as_json), as_json)


@cli.command("list")
def list_(
    owner: Owner = None,
    status: Annotated[list[SandboxStatus] | None, typer.Option("--status", help="Only these; repeatable.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=TEXT", help="Only those with all of these; repeatable.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Destroyed ones too.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=constants.COMMAND_LINE_ROWS, help="At most so many, the newest.")
    ] = 1000,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List everybody's sandboxes, newest first."""

    async def work(manager: SandboxManager) -> list[Sandbox]:
        statuses = status or (tuple(SandboxStatus) if everything else LIVING)
        tags = read_tags(tag or ())
        return list(await manager.list(owner_id=_user_id(owner), statuses=statuses, tags=tags, limit=limit))

    found = run_with_manager(work, config, "reading", as_json=as_json)
    if as_json:
        rendering.show_json([json_data.sandbox_data(sandbox) for sandbox in found])
    else:
        rendering.show_sandboxes(found)


@cli.command()
def extend(
    sandbox: Wanted,
    by: Annotated[str, typer.Argument(help="How much longer it lives, like 8h or 3d.")],
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Let a sandbox live longer; within the grace time, bring it back."""

    async def work(manager: SandboxManager) -> Extension:
        found = await manager.find(operator(), sandbox)
        return await manager.extend_ttl(operator(), found.id, parse_duration(by))

    extension = run_with_manager(work, config, "extending", as_json=as_json)
    if as_json:
        rendering.show_json(json_data.extension_data(extension))
    else:
        rendering.show_extension(extension)


@cli.command("bind-guild")
def bind_guild(sandbox: Wanted, guild: Guild, as_json: Json = False, config: Config = None) -> None:
    """Send a Discord server's events to a sandbox."""

    async def work(manager: SandboxManager) -> Sandbox:
        guild_id = names.check_snowflake(guild, "server id")
        return await manager.register_guild(operator(), (await manager.find(operator(), sandbox)).id, guild_id)

    _show(run_with_manager(work, config, "binding", as_json=as_json), as_json)


@cli.command("unbind-guild")
def unbind_guild(guild: Guild, as_json: Json = False, config: Config = None) -> None:
    """Send a Discord server's events to no sandbox any more."""

    async def work(manager: SandboxManager) -> Sandbox:
        return await manager.unregister_guild(operator(), names.check_snowflake(guild, "server id"))

    _show(run_with_manager(work, config, "unbinding", as_json=as_json), as_json)


@cli.command()
def reset(sandbox: Wanted, yes: Yes = False, as_json: Json = False, config: Config = None) -> None:
    """Put a sandbox back to its template, without keys and events; it keeps its id, servers, credentials and expiry."""

    async def work(manager: SandboxManager) -> Sandbox:
        found = await manager.find(operator(), sandbox)
        confirm_or_exit(f"Delete all that is in {found.name}?", yes=yes, as_json=as_json)
        with rendering.progress("resetting", quiet=as_json):
            return await manager.reset(operator(), found.id)

    _show(run_with_manager(work, config, as_json=as_json), as_json)


@cli.command()
def destroy(
    sandbox: Annotated[str | None, typer.Argument(help="Its name, id or short id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All sandboxes, or all of --owner.")] = False,
    owner: Owner = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Destroy a sandbox, or all of them, with everything in it."""
    if (sandbox is None) != everything:
        exit_with_error("name one sandbox, or say --all", EX_USAGE, as_json=as_json)

    async def work(manager: SandboxManager) -> tuple[list[Sandbox], list[Sandbox]]:
        chosen = await _to_destroy(manager, sandbox, owner)
        if dry_run or not chosen:
            return chosen, chosen
        confirm_or_exit(f"Destroy {', '.join(item.name for item in chosen)}?", yes=yes, as_json=as_json)
        with rendering.progress("destroying", quiet=as_json):
            return chosen, await _destroy_each(manager, chosen, as_json)

    chosen, destroyed = run_with_manager(work, config, as_json=as_json)
    _show_destroyed(destroyed, dry_run, as_json)
    if len(destroyed) < len(chosen):
        raise SystemExit(EX_FAILED)


def _show(sandbox: Sandbox, as_json: bool) -> None:
    if as_json:
        rendering.show_json(json_data.sandbox_data(sandbox))
    else:
        rendering.show_sandbox(sandbox)


def _show_destroyed(destroyed: list[Sandbox], dry_run: bool, as_json: bool) -> None:
    if as_json:
        rendering.show_json([json_data.sandbox_data(sandbox) for sandbox in destroyed])
    else:
        verb = "would be destroyed" if dry_run else "is destroyed"
        typer.echo("\n".join(f"{sandbox.name} {verb}" for sandbox in destroyed) or "There is nothing to destroy.")


async def _to_destroy(manager: SandboxManager, sandbox: str | None, owner: str | None) -> list[Sandbox]:
    if sandbox is not None:
        return [await manager.find(operator(), sandbox)]
    statuses = [status for status in LIVING if status is not SandboxStatus.DESTROYING]
    return list(await manager.list(owner_id=_user_id(owner), statuses=statuses, limit=constants.COMMAND_LINE_ROWS))


async def _destroy_each(manager: SandboxManager, chosen: list[Sandbox], as_json: bool) -> list[Sandbox]:
    """Those that are destroyed; the others' errors are told, in JSON as one."""
    destroyed, failed = [], []
    for sandbox in chosen:
        try:
            destroyed.append(await manager.destroy(operator(), sandbox.id))
        except SandboxError as error:
            failed.append(error)
    print_errors(failed, as_json=as_json)
    return destroyed


def _user_id(text: str | None) -> int | None:
    return names.check_snowflake(text, "Discord id") if text else None
