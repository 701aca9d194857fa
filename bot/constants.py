"""Every fixed wait, limit and patience of the bot that is no setting, each with its reason.

What an operator should change stands in config.toml instead. Seconds end in `_S`; counts say of what. Read them as
`constants.NAME` when they are used, so that a test can change one.
"""

from __future__ import annotations

# --- Processes: start, stop, restart ---------------------------------------------------------------------------------

# --- Stores: PostgreSQL, Valkey or Redis, NATS, and the embedded ones ------------------------------------------------

POSTGRES_CONNECT_WITHIN_S = 10
"""Enough for a far server with TLS; a firewall that drops packets would take for ever."""
POSTGRES_ANSWER_WITHIN_S = 30
"""For one statement. Dropping a sandbox's schema with thousands of tables takes seconds."""
POSTGRES_WAIT_FOR_CONNECTION_S = 60
"""More callers than connections wait for their turn; this is for a server that takes questions and never answers."""

REDIS_ANSWER_WITHIN_S = 5
"""For connecting and for one command. The bot's own take milliseconds; a server that answers none is away."""
REDIS_HEALTH_CHECK_EVERY_S = 30
"""A connection unused for so long is tried before it is used, for what lies between may have forgotten it."""
REDIS_KEYS_AT_A_TIME = 1000
"""Scanned or unlinked by one command, during which the server answers nobody else."""

NATS_CONNECT_WITHIN_S = 6
"""For the first connection, retries included: a start says within seconds that the address is wrong."""
NATS_HANDSHAKE_WITHIN_S = 4
"""For one try: more than the 3 s that a server takes for a login, so that its reason is heard; less than the above."""
NATS_RECONNECT_AFTER_S = 0.25
"""Between tries: a short outage should not be prolonged, and four tries a second cost a server nothing."""
NATS_PING_EVERY_S = 10
"""nats-py ends a connection after two unanswered ones: a network that swallows packets is noticed within 30 s."""
NATS_ANSWER_WITHIN_S = 5
"""For one question to JetStream, on a disk that others use too."""
NATS_STREAM_DUPLICATE_WINDOW_S = 600
"""How long a stream remembers message ids, at most: what the publisher sends again after an outage, or Discord after a
restart, is known by its id for so long. The server wants it no longer than events are kept."""
WORKER_ACK_WITHIN_S = 30
"""Then an event is delivered again. The kit tells the server every 25 s which ones it still has (`feed.py`)."""
WORKER_MOST_UNACKNOWLEDGED = 1000
"""Events with workers at a time, of one sandbox: many handlers at once, and a bound on what is delivered again."""

REPLAY_HEARTBEAT_S = 5
"""So often a listener (`worker tail`) hears of its replay when nothing happens, and knows that it goes on."""
REPLAY_FORGOTTEN_AFTER_S = 10
"""A listener that is gone for so long, two heartbeats, is one no more, and its consumer goes."""
MOST_LISTENERS = 20
"""Of one sandbox: each costs the server a consumer, and whoever has the credentials may ask."""

NATS_LOGIN_ANSWER_WITHIN_S = 1.5
"""For the callout's answer to a login: the kit waits two seconds for a connection and the server three."""
NATS_PROBE_WITHIN_S = 3
"""For trying whether the server asks the bots; as long as the callout may take (`timeout` in nats.conf)."""
NATS_MOST_DISCONNECTS = 5
"""Rounds of ending a sandbox's connections. A login that was under way shows in the second; more are for slow ones."""
NATS_LOGIN_UNLISTED_S = 1.0
"""So long a server may not list a connection that it has let in; it counts for the limit meanwhile."""
NATS_MOST_RECENT_LOGINS = 1000
"""Sandboxes whose recent logins are remembered; a bound on memory, more than log in within a second."""
NATS_GATHER_WITHIN_S = 0.25
"""For the answers of a cluster's servers, whose number nobody knows. One that is in no cluster is not waited for."""
NATS_MOST_LISTED = 8192
"""Connections of one sandbox listed by a server: more than `isolation.max_connections` can be."""
NATS_LIST_WITHIN_S = 1
"""For one server's list: a login waits for it."""
NATS_DISCONNECT_WITHIN_S = 2
"""For ending one connection: README promises an end within two seconds."""
RESPONDER_MOST_AT_ONCE = 256
"""Requests answered at a time by one process; more wait in the client's own queue."""

SERVER_START_WITHIN_S = 120.0
"""For an embedded server to answer. One that was killed reads its log first, gigabytes of it perhaps; one that fails
ends, which is seen at once."""
SERVER_STOP_WITHIN_S = 4.0
"""For an embedded server that was asked to stop; then it is killed. A container gets ten seconds for everything."""
GUARDIAN_STOP_WITHIN_S = 8.0
"""More than twice the above, for the guardian stops all servers at the same time and then ends."""
SERVER_RESTART_AFTER_S = 0.2
"""Before a server that has ended is started again: soon enough for whoever waits on it."""
SERVER_RESTART_AFTER_AT_MOST_S = 5.0
"""The pause doubles up to this for one that ends again and again. One that lived longer than this starts anew."""
SERVERS_GONE_WITHIN_S = 5.0
"""For the servers of a guardian that is no more, which the kernel tells to end; then they are killed."""
FOLDER_LOCK_WITHIN_S = 10.0
"""For the servers of a bot that is no more: as long as they may take to stop, and some more."""
PROGRAM_VERSION_WITHIN_S = 10.0
"""For a program that was named in [embedded] to say its version: the first start from a cold disk."""
EMBEDDED_ANSWER_WITHIN_S = 5
"""For an embedded server's first answer, after which it is asked again."""
EMBEDDED_POLL_S = 0.02
"""Between looks at something that nothing announces, at start: a server that starts in 50 ms should cost no more."""

# --- Data plane: from the gateway into JetStream ---------------------------------------------------------------------

# --- Control plane: how sandboxes begin, are kept and end ------------------------------------------------------------

# --- Discord: commands, replies, direct messages ---------------------------------------------------------------------
