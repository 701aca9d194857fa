"""`sandbox-bot health`: whether a bot that runs is ready, for a container's HEALTHCHECK."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
import typer

from bot import constants
from bot.cli.runtime import EX_CONFIG, EX_FAILED, EX_USAGE, Config, exit_with_error, read_settings
from bot.health.server import own_address
from bot.settings import Settings
from bot.shutdown import run

cli = typer.Typer()


@cli.command()
def health(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Where the bot tells it; otherwise [health] listen says so.")
    ] = "",
    config: Config = None,
) -> None:
    """Say whether a bot that runs is ready, and if not, why. Exit codes: 0 it is, 1 it isn't, or doesn't answer."""
    address = (url or _own_address(read_settings(config, quiet=True))).rstrip("/")
    if urlsplit(address).scheme not in ("http", "https"):
        exit_with_error("--url: write an address like http://127.0.0.1:8792", EX_USAGE)
    try:
        told = run(_ask(address))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        exit_with_error(f"{address} does not answer: {str(error) or type(error).__name__}", EX_FAILED)
    if not told["ready"]:
        exit_with_error(f"not ready: {_reasons(told['checks'])}", EX_FAILED)
    gateway = told["checks"].get("gateway")
    typer.echo(f"ready, {gateway['detail']}" if gateway else "ready")


def _own_address(settings: Settings) -> str:
    if settings.health_listen == "off":
        exit_with_error("health.listen: it is off; set an address like 127.0.0.1:8792, or say --url.", EX_CONFIG)
    return own_address(settings)


async def _ask(address: str) -> dict[str, Any]:
    """What it says. Its certificate is for the name that others call it by, and nothing secret passes."""
    within = aiohttp.ClientTimeout(total=constants.HEALTH_TOLD_WITHIN_S)
    async with (
        aiohttp.ClientSession(timeout=within) as session,
        session.get(f"{address}/readyz", ssl=False, allow_redirects=False) as answer,
    ):
        if answer.status not in (200, 503):
            raise ValueError(f"{answer.status} {answer.reason}")
        told = await answer.json()
        if not (isinstance(told, dict) and isinstance(told.get("checks"), dict) and "ready" in told):
            raise ValueError("it says nothing that a bot would")
        return told


def _reasons(checks: dict[str, dict[str, Any]]) -> str:
    wrong = [(name, check) for name, check in checks.items() if not check["ok"]]
    return "; ".join(f"{name} since {check['since']}: {check['detail']}" for name, check in wrong)
