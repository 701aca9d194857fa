"""Every fixed wait, limit and patience of the bot that is no setting, each with its reason.

What an operator should change stands in config.toml instead. Seconds end in `_S`; counts say of what. Read them as
`constants.NAME` when they are used, so that a test can change one.
"""

from __future__ import annotations

# --- Processes: start, stop, restart ---------------------------------------------------------------------------------

# --- Stores: PostgreSQL, Valkey or Redis, NATS, and the embedded ones ------------------------------------------------

# --- Data plane: from the gateway into JetStream ---------------------------------------------------------------------

# --- Control plane: how sandboxes begin, are kept and end ------------------------------------------------------------

HEARTBEAT_EVERY_S = 10.0
"""How often whoever works on an unfinished sandbox says that it lives."""

MIN_STUCK_AFTER_S = 3 * HEARTBEAT_EVERY_S
"""The least that `sandboxes.stuck_after` may be: two heartbeats in a row may fail before work that goes on is taken for
abandoned. At its default of two minutes, eleven may."""

CREATE_ATTEMPTS = 8
"""How many ids a create tries. Beside 10,000 schemas on a server, one id in 430,000 has the first eight digits of
another."""

RESET_ATTEMPTS = 3
"""How often a reset ends its workers' sessions: one that comes back at once and holds a table again may do so twice."""

SCHEMA_DROP_BATCH = 300
"""Objects of a schema that one transaction drops. Each costs some locks, and the server's table of locks holds 6,400 by
default, for all transactions together."""

TEMPLATE_LOCK_TIMEOUT_S = 5
"""How long a template waits for a lock. Somebody waits for the sandbox meanwhile."""

TEMPLATE_STATEMENT_TIMEOUT_S = 20
"""How long a template may take, and each statement while the one that fails is looked for: less than the 30 s after
which the connection itself would be given up."""

MAX_CONCURRENT_EXPIRIES = 4
MAX_CONCURRENT_TEARDOWNS = 4
MAX_CONCURRENT_ACCESS_CHANGES = 4
MAX_CONCURRENT_STREAM_CHECKS = 4
"""Each job by itself: with the smallest pool that makes sense, ten connections, some are left for commands."""

ACCESS_UNAPPLIED_AFTER_S = 15.0
"""After how long a change of who may connect is applied by whoever finds it. The process that made it does so right
after its commit, within a second if all stores answer; this leaves it the time of a slow one."""

REDIS_USERS_CHECKED_EVERY_S = 30.0
"""How often Redis's users are compared with PostgreSQL's while Redis runs on. Only a process that died on the way from
one to the other leaves a difference."""

NOTICE_LEASE_S = 60.0
"""How long a claimed notice is kept from others: longer than Discord's client takes for all its tries of a message."""

NOTICE_MAX_BACKOFF_S = 15 * 60.0
"""The longest pause between two attempts at a notice, each being twice the last: its news is of use for an hour."""

NOTICE_MAX_ATTEMPTS = 20
"""Attempts at a notice before it counts as undeliverable: almost three hours."""

HEALTH_TIMEOUT_S = 8
"""How long a store may take to say how a sandbox's share is. All three are asked together, and somebody waits."""

MAX_DESCRIPTION_LENGTH = 200
"""Characters of a sandbox's description: two lines of an embed."""

# --- Discord: commands, replies, direct messages ---------------------------------------------------------------------
