"""What a login to NATS may do, as the claims of a user JWT."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from bot import constants, names
from bot.stores.nats_account import WorkersAccount
from sandbox_worker import protocol

PROBE_USER, PROBE_INBOX = "probe", "_INBOX_probe"
SERVICES_USER = "services"


def sandbox_claims(sandbox_id: UUID, expires_at: datetime, account: WorkersAccount) -> dict[str, Any]:
    """The sandbox's own subjects, and of JetStream no more than pulling from, acknowledging on and looking at its
    consumer and stream."""
    stream = names.stream_name(sandbox_id)
    inboxes = f"{names.inbox_prefix(sandbox_id)}.>"
    publish = [
        names.work_subjects(sandbox_id),
        names.replay_subject(sandbox_id),
        inboxes,
        protocol.pull_subject(stream),
        protocol.ack_subjects(stream),
        names.info_subjects(sandbox_id),  # where the account leads it: that is what the server checks
    ]
    if account.ack_origin:  # pinned: with a wildcard for it, an acknowledgement on another's stream would match as well
        publish.append(protocol.ack_subjects(stream, account.ack_origin))
    subscribe = [f"{names.nats_prefix(sandbox_id)}>", inboxes]
    return _user_claims(str(sandbox_id), expires_at.timestamp(), publish=publish, subscribe=subscribe)


def full_claims(sandbox_id: UUID, asked_at: int) -> dict[str, Any]:
    """For the account that takes nobody. If it does all the same: nothing, and not for long."""
    claims = _user_claims(str(sandbox_id), asked_at + constants.NATS_PROBE_WITHIN_S, publish=[], subscribe=[])
    claims["nats"] |= {"pub": {"deny": [">"]}, "sub": {"deny": [">"]}}
    return claims


def _probe_claims(asked_at: int) -> dict[str, Any]:
    until = asked_at + constants.NATS_PROBE_WITHIN_S
    return _user_claims(PROBE_USER, until, publish=["$JS.API.INFO"], subscribe=[f"{PROBE_INBOX}.>"])


def _services_claims(_: int) -> dict[str, Any]:
    """They publish nothing but one answer to each request, and last as long as the connection."""
    subjects = [names.ANY_REPLAY_SUBJECT, names.ANY_INFO_SUBJECT]
    claims = _user_claims(SERVICES_USER, None, publish=[], subscribe=subjects)
    claims["nats"]["resp"] = {"max": 1, "ttl": int(constants.REPLAY_ANSWERED_WITHIN_S * 1e9)}
    return claims


OWN_CLAIMS: dict[str, Callable[[int], dict[str, Any]]] = {
    PROBE_USER: _probe_claims,
    SERVICES_USER: _services_claims,
}
"""Of the bots' own users in the workers' account, by the server's time of the login."""


def _user_claims(name: str, expires_at: float | None, *, publish: list[str], subscribe: list[str]) -> dict[str, Any]:
    permissions = {"pub": {"allow": publish}, "sub": {"allow": subscribe}}
    limits = {"subs": -1, "data": -1, "payload": -1}
    user = {"type": "user", "version": 2, **limits, **permissions}
    return {"name": name, "nats": user} | ({} if expires_at is None else {"exp": int(expires_at)})
