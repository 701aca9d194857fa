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

GUILD_INSPECTION_TIMEOUT_S = 4.0
"""How long Discord may take to say of all servers of a sandbox whether the bot is in them and sees them: half of what a
store may, for what it has not said is left open."""
GUILD_INSPECTION_CONCURRENCY = 4
"""Servers asked about at a time, with up to two requests each: Discord allows 50 a second for all that the bot does."""
NAMED_CHANNELS = 5
"""Channels named of those that the bot cannot see: enough to recognise why."""

MAX_DESCRIPTION_LENGTH = 200
"""Characters of a sandbox's description: two lines of an embed."""

MAX_METADATA_BYTES = 4096
"""Of a sandbox's metadata as JSON, which is read with it every time. PostgreSQL checks it too."""
MAX_METADATA_DEPTH = 8
"""Objects and lists inside each other in it: more than anybody writes, less than what a reader might stumble over."""
MAX_TAGS = 10
MAX_TAG_NAME_LENGTH = 32
MAX_TAG_LENGTH = 64
"""Tags of a sandbox, and the characters of a name and a text: all of them fit into one field of an embed."""

# --- Discord: commands, replies, direct messages ---------------------------------------------------------------------

CHOICES = 25
"""Suggestions while an option is typed. Discord refuses more."""
FIELD_CHARS = 1000
"""Of a list in a field of an embed. Discord takes 1024, the rest is for the ellipsis."""
DESCRIPTION_CHARS = 4000
"""Of the audit log in an embed. Discord takes 4096 in the description, and 6000 in all."""
CUSTOM_ID_CHARS = 100
"""Of a button's custom id. Discord takes no more."""
PAGE_SIZE = 10
"""Sandboxes on a page. An embed has at most 25 fields; ten are read without scrolling."""
LISTED_ORPHANS = 30
"""Orphans named in one answer, which so stays under Discord's 4096 characters. The command line shows all of them."""
NAMED_GUILDS = 20
"""Servers that Discord is asked about for a status: each costs three requests. Those after them are shown by id."""
COMMAND_LINE_ROWS = 100_000
"""Rows that one command of the command line reads at most: they are held in memory and printed as one JSON value."""
ERROR_DETAIL_CHARS = 300
"""Of a driver's message in one of our errors: one line of a log, whatever a server answers."""

MANAGED_GUILD_CANDIDATES = 40
"""Servers whose permissions are asked for while a name is typed. More do not answer in time; typing on narrows them."""
MANAGED_GUILD_CONCURRENCY = 8
"""Of those requests under way at a time: Discord allows 50 a second, and the bot's answers need some."""
MANAGED_GUILD_TIMEOUT_S = 2.0
"""For all of them. Discord drops suggestions after 3 s; what has not answered by then is left out."""
GUILD_CACHE_S = 60.0
"""How long permissions and the list of servers are remembered, so that not every key that is typed asks Discord. Only
suggestions come from there: a command asks anew."""
GUILD_CACHE_ENTRIES = 10_000
"""Of remembered permissions, some hundred bytes each; then all are forgotten."""

GUILD_REMOVAL_CHECK_EVERY_S = 600.0
"""Between two looks for bound servers that Discord's session does not name. A removal is an event and acted on when it
comes; this is for what was missed, at one request for each server that seems to be gone."""

NOTICE_HISTORY = 50
"""Messages looked through for a notice that may have been sent already. Discord drops a repeated nonce for minutes
only; a person has rarely got more from the bot since the first attempt."""
