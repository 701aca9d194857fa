"""`sandbox-bot sandbox env`: the environment of a sandbox's workers, for a shell or a file."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bot.cli import rendering
from bot.cli.runtime import (
    EX_SHOWN,
    EX_USAGE,
    Config,
    Yes,
    confirm_or_exit,
    exit_with_error,
    operator,
    run_with_manager,
)
from bot.sandboxes.access.connection import ConnectionDetails
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import Sandbox
from sandbox_worker.standard_names import DatabaseForm, NameSet, wanted_form

cli = typer.Typer()


class EnvironmentFormat(StrEnum):
    """`export` lines for a shell's `eval`, `dotenv` for a file, or one JSON object."""

    EXPORT = "export"
    DOTENV = "dotenv"
    JSON = "json"


@cli.command()
def env(
    sandbox: Annotated[
        str, typer.Argument(metavar="SANDBOX", help="Its name, its id or the first eight digits of that.")
    ],
    form: Annotated[EnvironmentFormat, typer.Option("--format", help="How it is written.")] = EnvironmentFormat.EXPORT,
    rotate: Annotated[bool, typer.Option("--rotate", help="Issue new credentials, which ends the old ones.")] = False,
    bare: Annotated[bool, typer.Option("--without-credentials", help="Issue none: only the rest.")] = False,
    name_set: Annotated[
        NameSet, typer.Option("--names", help="standard: DATABASE_URL, REDIS_URL, PGHOST and the like, too.")
    ] = NameSet.SANDBOX,
    database_url: Annotated[
        DatabaseForm | None, typer.Option("--database-url", help="How that is written; with the standard names.")
    ] = None,
    yes: Yes = False,
    config: Config = None,
) -> None:
    """Print the environment of a sandbox's workers: eval "$(sandbox-bot sandbox env NAME)".

    The credentials are in it the first time; they are kept nowhere. Later on it prints nothing and ends with 3, unless
    --rotate issues new ones, or --without-credentials wants none.
    """
    as_json = form is EnvironmentFormat.JSON
    if rotate and bare:
        exit_with_error("--rotate issues credentials, --without-credentials none", EX_USAGE, as_json=as_json)
    if rotate:
        confirm_or_exit("End the old credentials, with all connections that use them?", yes=yes, as_json=as_json)

    async def work(manager: SandboxManager) -> ConnectionDetails:
        found = await manager.find(operator(), sandbox)
        if bare:
            return await manager.get_connection_details(operator(), found.id)
        details = await manager.issue_credentials(operator(), found.id, rotate=rotate)
        if not details.has_token and manager.access.isolation.confines:
            exit_with_error(_shown_before(found), EX_SHOWN, as_json=as_json)
        return details

    details = run_with_manager(work, config, "issuing", as_json=as_json)
    if wanted := wanted_form(name_set, database_url):
        details = details.with_standard_names(wanted)
    if as_json:
        rendering.show_json(dict(details.environment))
    else:
        typer.echo(details.as_dotenv() if form is EnvironmentFormat.DOTENV else details.as_exports(), nl=False)


def _shown_before(sandbox: Sandbox) -> str:
    return (
        f"the credentials of {sandbox.name} were shown before, and are kept nowhere. "
        f"`sandbox-bot sandbox env {sandbox.handle} --rotate` issues new ones and ends those; "
        "--without-credentials prints the rest."
    )
