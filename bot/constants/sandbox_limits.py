"""Control plane: how sandboxes begin, are kept and end."""

from __future__ import annotations

from datetime import timedelta

HEARTBEAT_EVERY_S = 2.0
"""How often whoever works on an unfinished sandbox says that it lives."""

MIN_STUCK_AFTER_S = 5 * HEARTBEAT_EVERY_S
"""The least that `sandboxes.stuck_after` may be: four heartbeats in a row may fail before work that goes on is taken
for abandoned. At its default of half a minute, fourteen may: where PostgreSQL is away for longer, so does the work."""

CREATE_ATTEMPTS = 8
"""How many ids a create tries. Beside 10,000 schemas on a server, one id in 430,000 has the first eight digits of
another."""

RESET_ATTEMPTS = 3
"""How often a reset ends its workers' sessions: one that comes back at once and holds a table again may do so twice."""

DROP_ATTEMPTS = 3
"""How often a sandbox's schema and role are dropped while a session that should be gone holds something of theirs."""

SCHEMA_DROP_BATCH = 300
"""Objects of a schema that one transaction drops. Each costs some locks, and the server's table of locks holds 6,400 by
default, for all transactions together."""

TEMPLATE_LOCK_TIMEOUT_S = 5
"""How long a template waits for a lock. Somebody waits for the sandbox meanwhile."""

TEMPLATE_STATEMENT_TIMEOUT_S = 20
"""How long a template may take, and each statement while the one that fails is looked for: less than the 30 s after
which the connection itself would be given up."""

ACTIVITY_WRITTEN_AT_MOST_EVERY_S = 0.25
"""On request: one that comes sooner waits so long, so that requests without end cost few writes."""

ACTIVITY_SPARED_S = 5.0
"""So long nobody waits for counts again after a wait that was in vain: one command after the other would be slow."""

ORPHANS_CLAIMED_FOR_S = 300.0
"""How long a look for orphans is one process's. A look over all keys of a large Redis takes minutes; if it fails, or
the process dies, another one takes its turn after this time, and not only when the next is due."""
IDEMPOTENCY_KEYS_KEPT = timedelta(days=1)
"""Discord plays an interaction again for minutes, and its answer may be changed for fifteen of them."""
IDEMPOTENCY_KEYS_EXPIRED_EVERY = timedelta(hours=1)

AUDIT_EXPIRED_EVERY = timedelta(hours=1)
AUDIT_ENTRIES_AT_ONCE = 1000
"""What is read or deleted in one statement: it takes milliseconds, and keeps nobody waiting."""

FIRST_RUN_ASKED_EVERY_S = 0.2
"""How often a repeat looks how far the first run is. Somebody waits for it."""

MAX_CONCURRENT_EXPIRIES = 4
MAX_CONCURRENT_TEARDOWNS = 4
MAX_CONCURRENT_ACCESS_CHANGES = 4
MAX_CONCURRENT_STREAM_CHECKS = 4
"""Each job by itself: with the smallest pool that makes sense, ten connections, some are left for commands."""

ACKNOWLEDGEMENTS_SEEN_EVERY_S = 1.0
"""How often NATS is asked how far the workers are that are at work: if it loses their consumer, what they acknowledged
since is delivered again, marked as a possible duplicate."""
ALL_ACKNOWLEDGEMENTS_SEEN_EVERY_S = 15.0
"""And how far all others are: two hundred idle sandboxes cost the bot less than a hundredth of a core."""
ACKNOWLEDGEMENTS_REST = 9
"""A pause is so many times as long as the look before it, at least: of the time, looks take a tenth then, also with a
thousand sandboxes at work."""
ACKNOWLEDGED_KEPT = timedelta(days=30)
"""In Redis: longer than a bot is away, and than events are there, which is three days by default."""

LAST_CHANGE_KEPT = timedelta(days=90)
"""In Redis, how long it knows of the last change: as long as the audit log is kept by default."""
LAST_CHANGES_BYTES = 1 << 16
"""Of the stream in which NATS keeps the last change: a hundred bytes for each installation."""
RESTORES_LOOKED_FOR_EVERY_S = 5.0
"""How often it is looked whether PostgreSQL has what other stores know of: what hands something out asks by itself, and
who comes in meanwhile by a token that was revoked since the backup is out again after it."""
RESTORES_TOLD_EVERY = timedelta(seconds=10)
"""How often it is looked whether the admins are still to be told of one."""
RESTORES_LAG_S = 30.0
"""So long PostgreSQL has to have had a change before others are told of it: longer than a replica lags behind that
takes over, and shorter ago than any backup was taken."""

MOST_LOST_STREAMS_NAMED = 1000
"""That advisories may name before they are looked at. Those of more are found by the next turn, which looks at all."""
LOST_STREAMS_REST_S = 0.1
"""After such a look: where workers share the bot's account, one may send advisories without end."""

FOREIGN_TABLES_NAMED = 5
"""Somebody else's tables in a sandbox's schema that are named to whoever gets its credentials, a line each."""

NOTIFY_QUEUE_CHECKED_EVERY_S = 1.0
"""How often it is looked how full PostgreSQL's queue of notifications is: it holds 8 GB, by default, and the disk is as
fast as it is."""
NOTIFY_QUEUE_MOST_USED = 0.1
"""The share of it that may be used. Listeners that read keep it almost empty, whatever is sent."""
NOTIFY_QUEUE_LONGEST_TRANSACTION_S = 2.0
"""How long a sandbox's transaction may hold up a queue that is used so far. Ordinary ones take milliseconds."""

ROLE_UPDATE_ATTEMPTS = 5
"""How often a role is altered whose worker holds its row. It is shut out from the second on: more are for logins that
were under way. Each waits 0.3 s at most, and README promises an end within two seconds."""

HELD_BACK_AFTER_S = 1.0
"""A session that should have been ended and is there so long after is none that is just about to end."""

STRAYS_AT_A_TIME = 100
"""What the group sandbox_worker owns, large objects and other things, as many of each dropped in one turn, each waiting
5 ms at most for whoever holds it."""

SCHEMAS_HANDED_OVER_AT_A_TIME = 50
"""To the roles of sandboxes that an earlier version has made, in one turn, each waiting 200 ms at most for its
workers."""

REDIS_USERS_CHECKED_EVERY_S = 30.0
"""How often Redis's users are compared with PostgreSQL's while Redis runs on. Only a process that died on the way from
one to the other leaves a difference."""

NOTICE_LEASE_S = 60.0
"""How long a claimed notice is kept from others: longer than Discord's client takes for all its tries of a message."""

NOTICE_MAX_BACKOFF_S = 15 * 60.0
"""The longest pause between two attempts at a notice, each being twice the last: its news is of use for an hour."""

NOTICE_MAX_ATTEMPTS = 20
"""Attempts at a notice before it counts as undeliverable: almost three hours."""

GUILD_INSPECTION_TIMEOUT_S = 4.0
"""How long Discord may take to say of all servers of a sandbox whether the bot is in them and sees them: less than a
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
