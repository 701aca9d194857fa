"""Every fixed wait, limit and patience of the bot that is no setting, each with its reason.

What an operator should change stands in config.toml instead. Seconds end in `_S`; counts say of what. Read them as
`constants.NAME` when they are used, so that a test can change one.
"""

from __future__ import annotations

from datetime import timedelta

# --- Processes: start, stop, restart ---------------------------------------------------------------------------------

RESTART_FIRST_S = 0.5
"""The pause before a part that failed is started again: short enough that nobody notices a single failure."""
RESTART_LONGEST_S = 5.0
"""The longest such pause, so that everything runs within five seconds of a store's return."""
RESTARTS_COUNTED_FOR = timedelta(minutes=5)
"""Restarts are counted over this time where a part may fail only so often."""
GUARDIAN_RESTARTS = 3
"""How often the guardian of the embedded servers is started again in that time; then the process ends with 69."""

STOP_WITHIN_S = 4.5
"""Over everything that is done to stop, whatever is away: container engines and systemd kill after ten seconds, people
lose patience after five. What then has not ended is cut off."""
PARTS_END_WITHIN_S = 1.0
"""How long parts may take to obey their cancellation before the stop goes on without them."""
ANSWERS_END_WITHIN_S = 1.5
"""How long answers to commands that are under way are waited for at a stop."""
DRAIN_WITHIN_S = 2.0
"""How long acknowledgements are waited for at a stop; what has none is received again at the next start."""
SAVE_WITHIN_S = 0.5
"""How long writing down the place in a session, or the activity, may take at a stop. Without the first more events are
received again, without the second a count is some seconds old."""
CLOSE_WITHIN_S = 0.5
"""How long a connection may take to say goodbye before it is cut off; a server that answers needs milliseconds."""
CANCEL_AGAIN_AFTER_S = 0.05
"""The pause between two cancellations of a task that has swallowed one."""
CANCEL_WITHIN_S = 0.2
"""How long a step that was broken off may take to obey before it is left behind."""

# --- Stores: PostgreSQL, Valkey or Redis, NATS, and the embedded ones ------------------------------------------------

NATS_LOOK_EVERY_S = 0.5
"""How often it is looked whether a connection to NATS is up, for its state and for telling of an outage. The client
itself notices at once."""

# --- Data plane: from the gateway into JetStream ---------------------------------------------------------------------

ROUTES_RESTART_FIRST_S = 0.2
ROUTES_RESTART_LONGEST_S = 2.0
"""The pauses before PostgreSQL is asked for routes again: shorter than of other parts, for a sandbox that was destroyed
meanwhile still gets events until then."""

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
