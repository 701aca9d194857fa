"""How each library is pointed at the relay by its author, where nothing leads it there. Pure but for the looking."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from sandbox_worker import constants

KNOBS = {
    "discord.py": "discord.http.Route.BASE = os.environ['SANDBOX_BOT_API']; "
    "discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ['SANDBOX_BOT_GATEWAY'])",
    "py-cord": "discord.http.Route.API_BASE_URL = os.environ['SANDBOX_BOT_API']",
    "disnake": "disnake.http.Route.BASE = os.environ['SANDBOX_BOT_API']",
    "nextcord": "nextcord.http.Route.BASE = os.environ['SANDBOX_BOT_API']",
    "hikari": "hikari.GatewayBot(token, rest_url=os.environ['SANDBOX_BOT_API'])",
    "discord-py-interactions": "interactions.api.http.route.Route.BASE = os.environ['SANDBOX_BOT_API'], before the "
    "rest is imported",
    "discord.js": "new Client({rest: {api: process.env.SANDBOX_BOT_API.replace('/v10', '')}}), also in new REST",
    "oceanic.js": "new Client({rest: {baseURL: process.env.SANDBOX_BOT_API}})",
    "eris": "only https on port 443 can be set: run it without --address",
}
"""By the name that the library is installed by."""

_LIST = "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"


def installed_libraries(program: Path, folder: Path) -> list[str]:
    """Those of `KNOBS` that the program has, or that stand beside this kit, or in `node_modules` here or above."""
    python = {_normal(name) for name in _distributions_of(program)}
    node = {path.name for each in (folder, *folder.parents) for path in (each / "node_modules").glob("*")}
    return [name for name in KNOBS if _normal(name) in python or name in node]


def _distributions_of(program: Path) -> Iterable[str]:
    if program.name.startswith("python"):
        try:
            said = subprocess.run(
                [str(program), "-c", _LIST], capture_output=True, timeout=constants.LIST_TIMEOUT_S, check=True
            )
            return [name for name in json.loads(said.stdout) if name]
        except (OSError, ValueError, subprocess.SubprocessError):
            pass
    return [name for each in distributions() if (name := each.metadata["Name"])]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
