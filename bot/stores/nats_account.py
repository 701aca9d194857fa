"""What the configuration of the NATS servers gives the account that all workers are in."""

from __future__ import annotations

import asyncio
import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from nats.aio.client import Client

from bot import constants, names
from bot.findings import Finding, warning
from bot.i18n import gettext
from bot.stores.nats_client import asking
from sandbox_worker import protocol

ACCOUNT = "SANDBOX"
"""It has no JetStream and imports no more of the bot's account than pulling, acknowledging and replays: the server does
not check where a request wants its answer, and an empty answer from within a JetStream account is a valid request to
delete any stream in it."""

FULL_ACCOUNT = "SANDBOX_FULL"
"""One that takes no connection: the server tells whoever is sent there that there are too many."""

_PULLING = protocol.pull_subject("*")
_INFO_MAPPINGS = {
    protocol.stream_info_subject("*"): names.info_subject("$1", names.STREAM_INFO),
    protocol.consumer_info_subject("*"): names.info_subject("$1", names.CONSUMER_INFO),
}
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class WorkersAccount:
    """As one server has it; those of a cluster have the same accounts."""

    imports: frozenset[str]
    ack_origin: str
    """Domain and account in acknowledgements of the newer format, as `protocol.ack_subjects` takes it; empty if the
    account imports no streams' account."""
    writes_origin: bool
    """Whether the server writes that format already, which it does by a flag or from 2.16 on."""
    leads_info_to_bot: bool
    """Whether workers' questions after their stream come to the bot, and not to the server."""
    tells_full: bool
    """Whether a worker can be told that its sandbox has too many connections."""

    def list_gaps(self) -> list[Finding]:
        """What workers can't do because the configuration lacks it."""
        origin = f"$JS.ACK.{self.ack_origin}.*.{protocol.WORKER_CONSUMER}.>"
        mappings = " and ".join(_INFO_MAPPINGS)
        gaps = {
            _tell_missing_import(origin, self.writes_origin): origin not in self.imports,
            gettext(
                "{account} does not map {subjects}: clients that look at their stream or consumer are refused.",
                account=ACCOUNT,
                subjects=mappings,
            ): not self.leads_info_to_bot,
            gettext(
                "There is no account {account}: a worker of a sandbox that has too many connections is told that its "
                "login is wrong.",
                account=FULL_ACCOUNT,
            ): not self.tells_full,
        }
        return [warning(gap, gettext("Take it over from examples/nats.conf.")) for gap, there in gaps.items() if there]


def _tell_missing_import(origin: str, is_used: bool) -> str:
    if is_used:
        return gettext(
            "{account} does not import {subject}: events come again for ever.", account=ACCOUNT, subject=origin
        )
    return gettext(
        "{account} does not import {subject}: events will come again for ever from 2.16 on.",
        account=ACCOUNT,
        subject=origin,
    )


async def read_workers_account(system: Client) -> WorkersAccount:
    """`ServiceUnavailable` if NATS is away."""
    told, full = await asyncio.gather(_ask(system, ACCOUNT), _ask(system, FULL_ACCOUNT))
    account = told.get("data") or {}
    imports = {found["subject"]: found["account"] for found in account.get("imports") or ()}
    mappings = {subject: _target(targets) for subject, targets in (account.get("mappings") or {}).items()}
    server: Mapping[str, Any] = told["server"]
    return WorkersAccount(
        imports=frozenset(imports),
        ack_origin=f"{server.get('domain') or '_'}.{hash_of(imports[_PULLING])}" if _PULLING in imports else "",
        writes_origin=bool((server.get("feature_flags") or {}).get("js_ack_fc_v2")),
        leads_info_to_bot=all(mappings.get(subject) == target for subject, target in _INFO_MAPPINGS.items()),
        tells_full=bool(full.get("data")),
    )


def hash_of(account: str) -> str:
    """What the server calls an account in the subject of an acknowledgement."""
    digest = hashlib.sha256(account.encode()).digest()
    return "".join(_DIGITS[byte % len(_DIGITS)] for byte in digest[:8])


async def _ask(system: Client, account: str) -> dict[str, Any]:
    subject = f"$SYS.REQ.ACCOUNT.{account}.INFO"
    with asking():
        answer = await system.request(subject, timeout=constants.NATS_ANSWER_WITHIN_S)
    told: dict[str, Any] = orjson.loads(answer.data)
    return told


def _target(targets: list[dict[str, Any]]) -> str:
    """Where all of it goes; empty if it is shared out among several."""
    return str(targets[0]["subject"]) if len(targets) == 1 else ""
