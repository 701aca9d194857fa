"""The application's global commands: whether the bot's are there, and whose the others are, which stay as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from bot import constants
from bot.cli.check.shared import Unanswerable
from bot.cli.check.surroundings import Surroundings
from bot.cogs.admin_group import AdminGroup
from bot.cogs.sandbox_group import SandboxGroup
from bot.findings import Finding, failure, ok, warning
from bot.global_commands import CHAT_INPUT, GlobalCommand, GlobalCommands
from bot.i18n import gettext
from bot.stores.postgres import connected, load_queries


async def commands(found: Surroundings) -> AsyncIterator[Finding]:
    """Without PostgreSQL the names alone say which are ours."""
    logged_in = await found.discord.get()
    there = await GlobalCommands(logged_in.client).list_all()
    made, is_withdrawn = await _read_made(found, logged_in.client.application_id or 0)
    names = _own_names()
    ours = [command for command in there if command.key[0] == CHAT_INPUT and command.key[1] in names]
    yield _tell_ours(ours, names, made, is_withdrawn)
    if strangers := [command for command in ours if made and command.id not in made]:
        yield warning(
            gettext("{names} was registered by somebody else, and the bot takes it over.", names=_list(strangers)),
            gettext("Give your own command another name."),
        )
    others = [command for command in there if command not in ours]
    if others:
        yield ok(gettext("Not the bot's, and left as they are: {names}.", names=_list(others)))
    if sum(command.key[0] == CHAT_INPUT for command in others) + len(names) > constants.CHECK_MOST_COMMANDS:
        yield failure(
            gettext("Discord takes {most} commands of an application.", most=constants.CHECK_MOST_COMMANDS),
            gettext("Remove some of your own: the bot's don't fit in."),
        )


def _tell_ours(
    ours: Collection[GlobalCommand], names: Collection[str], made: Collection[int], is_withdrawn: bool
) -> Finding:
    if is_withdrawn:
        return ok(gettext("The bot's commands were taken away by `sandbox-bot sync --remove`."))
    missing = ", ".join(f"/{name}" for name in names if name not in {command.key[1] for command in ours})
    if not missing:
        return ok(gettext("The bot's commands are registered."))
    if made:
        return warning(
            gettext("Not registered any more: {names}.", names=missing),
            gettext("Run `sandbox-bot sync`; a running bot does it within two minutes."),
        )
    return ok(gettext("Still to be registered, by the first start or `sandbox-bot sync`: {names}.", names=missing))


async def _read_made(found: Surroundings, application_id: int) -> tuple[set[int], bool]:
    """The ids that the bots of this database have registered, and whether an operator has taken the commands away."""
    try:
        pool = await found.migrated()
    except Unanswerable:
        return set(), False
    sql = load_queries("commands")
    async with connected(pool) as connection:
        rows = await connection.fetch(sql["list_registered"], application_id)
        is_withdrawn = await connection.fetchval(sql["are_withdrawn"], application_id)
    return {int(row["command_id"]) for row in rows}, bool(is_withdrawn)


def _own_names() -> Sequence[str]:
    return [str(cog.__cog_group_name__) for cog in (SandboxGroup, AdminGroup)]


def _list(commands: Collection[GlobalCommand]) -> str:
    return ", ".join(f"/{name}" if kind == CHAT_INPUT else f"“{name}”" for kind, name in (one.key for one in commands))
