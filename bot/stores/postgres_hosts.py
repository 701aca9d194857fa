"""PostgreSQL's address: sessions with the server that takes writes, on whichever of several hosts that is now."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg
from loguru import logger

from bot import constants, private_api
from bot.stores.postgres_tls import tls_of
from bot.stores.urls import take_authority
from sandbox_worker.addresses import Host, read_parameters, split_hosts

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection

_SETTINGS = {"application_name": "sandbox-bot", "timezone": "UTC"}
_SESSION = "SET search_path = sandbox_control, public"
"""How every session of the bot begins. `public` holds the tables of a database that is still to be migrated, and the
type `sandbox_status`. A statement, for PgBouncer refuses a session that asks for it in the handshake."""

_TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
_SERVER = "SELECT concat_ws(' ', host(inet_server_addr()), inet_server_port(), pg_postmaster_start_time())"
_PRIMARY = "SELECT NOT pg_is_in_recovery()"
_AWAY = (OSError, asyncpg.InternalClientError, asyncpg.CannotConnectNowError)
"""What a host may say that another one makes up for. `TargetServerAttributeNotMatched`, of a standby, is the second."""


TYPES_QUERY = """
SELECT types.oid, nspname AS ns, types.typname AS name, types.typtype AS kind,
       types.typelem AS elemtype, elements.typname AS elemtype_name, elements.typdelim AS elemdelim,
       NULL AS basetype, NULL AS basetype_name, NULL AS range_subtype, NULL AS range_subtype_name,
       NULL AS attrtypoids, NULL AS attrnames
  FROM pg_catalog.pg_type AS types
  JOIN pg_catalog.pg_namespace ON pg_namespace.oid = types.typnamespace
  LEFT JOIN pg_catalog.pg_type AS elements ON elements.oid = types.typelem
 WHERE types.oid = any($1::oid[])
"""
"""For a type that a session meets for the first time. asyncpg's own query, which also finds what domains, ranges and
rows consist of, takes PostgreSQL five times as long, most of it to plan. The bot has enums and arrays alone."""

private_api.verify("asyncpg")


class _Session(_Connection):
    """Set back, it is as it began."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._intro_query = TYPES_QUERY

    def get_reset_query(self) -> str:
        return f"{super().get_reset_query()}\n{_SESSION};"


async def connect(dsn: str, **options: Any) -> _Connection:
    """A session that may write; of several hosts, with the one that takes writes. Errors are asyncpg's own, and
    `ConnectionError` where none of several does."""
    dsn, options = _options(dsn, options)
    options |= _target(dsn)
    hosts = several_hosts(dsn)
    return await _begun(await (_connect_to_primary(dsn, hosts, options) if hosts else asyncpg.connect(dsn, **options)))


async def connect_to(dsn: str, host: Host, **options: Any) -> _Connection:
    """A session with that one of several hosts, whether it takes writes or not."""
    dsn, options = _options(dsn, options)
    options |= {"host": host.name, "port": host.port, "target_session_attrs": "any"}
    return await _begun(await asyncpg.connect(dsn, **options))


def several_hosts(dsn: str) -> Sequence[Host]:
    """Empty for an address that has one host or none."""
    hosts = split_hosts(dsn, constants.POSTGRES_PORT)
    return hosts if len(hosts) > 1 else ()


@asynccontextmanager
async def following_primary(dsn: str, opened: Collection[_Connection]) -> AsyncIterator[None]:
    """Meanwhile those of the `opened` that are left on a server whose place another one has taken are ended. It may be
    silent, or still take what nobody will ever see."""
    if not several_hosts(dsn):
        yield
        return
    following = asyncio.create_task(_follow(dsn, opened))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait({following})


async def _follow(dsn: str, opened: Collection[_Connection]) -> None:
    before = None
    while True:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            within_s = constants.PRIMARY_ANSWERS_WITHIN_S
            connection = await connect(dsn, timeout=constants.POSTGRES_CONNECT_WITHIN_S, command_timeout=within_s)
            try:
                now = await connection.fetchval(_SERVER)
                if before not in (None, now):
                    _leave(opened, now)
                before = now
                await _ask_until_replaced(connection)
            finally:
                connection.terminate()
        await asyncio.sleep(constants.PRIMARY_ASKED_EVERY_S)


async def _ask_until_replaced(connection: _Connection) -> None:
    is_primary = True
    while is_primary:
        await asyncio.sleep(constants.PRIMARY_ASKED_EVERY_S)
        is_primary = await connection.fetchval(_PRIMARY)


def _leave(opened: Collection[_Connection], now: str) -> None:
    logger.warning("another PostgreSQL takes the writes, or it was started anew", server=now)
    for connection in list(opened):
        connection.terminate()


def _options(dsn: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address as asyncpg takes it, and what every session of the bot is opened with."""
    dsn, authority = take_authority(dsn)
    own = {"connection_class": _Session, "server_settings": _SETTINGS, "ssl": tls_of(dsn, authority)}
    return dsn, {**options, **own}


async def _begun(connection: _Connection) -> _Connection:
    try:
        await connection.execute(_SESSION)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _target(dsn: str) -> dict[str, str]:
    """Unless somebody has said otherwise."""
    is_said = "target_session_attrs" in read_parameters(dsn) or "PGTARGETSESSIONATTRS" in os.environ
    return {} if is_said else {"target_session_attrs": "read-write"}


async def _connect_to_primary(dsn: str, hosts: Sequence[Host], options: dict[str, Any]) -> _Connection:
    """All are asked at once, for one that stands still would keep the others from being asked. Of two that take writes,
    as one whose place the other has taken may, it is the one that was promoted last."""
    attempts = [asyncio.create_task(asyncpg.connect(dsn, host=host, port=port, **options)) for host, port in hosts]
    chosen: _Connection | None = None
    try:
        await _wait_for_writable(attempts)
        found = [attempt.result() for attempt in attempts if _has_connected(attempt)]
        if not found:
            raise _explain(hosts, [error for attempt in attempts if (error := attempt.exception())])
        chosen = found[0] if len(found) == 1 else await _promoted_last(found)
        return chosen
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(lambda ended: _drop(ended, chosen))


async def _wait_for_writable(attempts: Collection[asyncio.Task[_Connection]]) -> None:
    """For all, or for as long as another one may take after the first."""
    waiting, within_s = set(attempts), None
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return
        if any(map(_has_connected, done)):
            within_s = constants.POSTGRES_OTHERS_WITHIN_S


def _has_connected(attempt: asyncio.Task[_Connection]) -> bool:
    return attempt.done() and not attempt.cancelled() and attempt.exception() is None


async def _promoted_last(found: Sequence[_Connection]) -> _Connection:
    """By their timelines, of which each promotion begins a new one."""
    timelines = [await connection.fetchval(_TIMELINE) for connection in found]
    logger.debug("several PostgreSQL servers take writes", timelines=timelines)
    return found[timelines.index(max(timelines))]


def _drop(attempt: asyncio.Task[_Connection], chosen: _Connection | None) -> None:
    if _has_connected(attempt) and attempt.result() is not chosen:
        attempt.result().terminate()


def _explain(hosts: Sequence[Host], errors: Sequence[BaseException]) -> BaseException:
    """What a server that answers has refused goes first: it is the one to mend."""
    for error in errors:
        if not isinstance(error, _AWAY):
            return error
    told = "; ".join(f"{host} {_word(error)}" for host, error in zip(hosts, errors, strict=True))
    none = ConnectionError(f"no server takes writes: {told}")
    none.__cause__ = next((error for error in errors if isinstance(error, OSError)), None)
    return none


def _word(error: BaseException) -> str:
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "is a standby"
    return f"says: {str(error) or type(error).__name__}"
