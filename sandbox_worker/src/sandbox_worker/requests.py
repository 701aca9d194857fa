"""What a worker asks the bot for, over NATS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import nats.errors
from nats.aio.client import Client

from sandbox_worker import constants, protocol
from sandbox_worker.addresses import split_addresses
from sandbox_worker.environment import Environment
from sandbox_worker.errors import ReplayRefused, SandboxEnded, ServiceUnavailable

THE_BOT = "The bot"
"""The service that is not reachable when nobody answers."""

_NOT_UNDERSTOOD = "That is no request"
_BOT_IS_OLDER = (
    "The bot is older than this and tells nobody the variables. Save the file that `/sandbox connect` attaches."
)


async def ask_bot(client: Client, environment: Environment, request: Mapping[str, object]) -> dict[str, Any]:
    """Its answer. `ServiceUnavailable` if there is none just now, `ReplayRefused` with its sentence, `SandboxEnded` if
    it says that the sandbox is destroyed."""
    try:
        answer = await client.request(
            protocol.replay_subject(environment.sandbox_id),
            json.dumps(request).encode(),
            timeout=constants.REPLAY_TIMEOUT_S,
            headers={protocol.AGENT_HEADER: protocol.agent()},
        )
    except (nats.errors.Error, OSError) as error:
        raise ServiceUnavailable(THE_BOT, "nobody answers on NATS; is the bot running?") from error
    told: dict[str, Any] = json.loads(answer.data)
    if "error" not in told:
        return told
    if told.get("ended"):
        raise SandboxEnded(environment.name, "gone")
    if "service" in told:
        raise ServiceUnavailable(str(told["service"]), "the bot gets no answer")
    raise ReplayRefused(str(told["error"]))


async def fetch_variables(client: Client, environment: Environment) -> dict[str, str]:
    """As `Sandbox.fetch_variables`. Without a token of one's own, those that have none in them."""
    try:
        told = await ask_bot(client, environment, protocol.ENVIRONMENT_REQUEST)
    except ReplayRefused as error:
        raise (ReplayRefused(_BOT_IS_OLDER) if str(error).startswith(_NOT_UNDERSTOOD) else error) from error
    token = _token(environment)
    found = {str(name): str(value) for name, value in told["environment"].items()}
    return {
        name: value.replace(protocol.TOKEN_PLACE, token)
        for name, value in found.items()
        if token or protocol.TOKEN_PLACE not in value
    }


def _token(environment: Environment) -> str:
    """It is the same for all stores."""
    own = {
        environment.nats_url: str(environment.sandbox_id),
        environment.database_url: environment.schema,
        environment.redis_url: f"sandbox-{environment.sandbox_id}",
    }
    for urls, user in own.items():
        parts = urlsplit(split_addresses(urls)[0])
        if parts.username == user:
            return unquote(parts.password or "")
    return ""
