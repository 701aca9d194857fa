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
GUARDIAN_RESTART_S = 0.1
"""The pause before that; it is waited for that the servers of before are gone in any case."""

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
POSTGRES_CONNECT_WITHIN_S = 10
"""Enough for a far server with TLS; a firewall that drops packets would take for ever."""
POSTGRES_ANSWER_WITHIN_S = 30
"""For one statement. Dropping a sandbox's schema with thousands of tables takes seconds."""
POSTGRES_LOGIN_WARNED_OVER_S = 10
"""`check` warns if the server's `authentication_timeout` is longer. A login takes milliseconds, on a far server a
second, and whoever connects and says nothing has a slot for so long."""
POSTGRES_WAIT_FOR_CONNECTION_S = 60
"""More callers than connections wait for their turn; this is for a server that takes questions and never answers."""

MOST_LOCKS_OF_A_SANDBOX = 2000
"""In PostgreSQL's table of locks, which all share; on a small server a quarter of the table, if that is less. A worker
that alters all of some hundred tables in one transaction stays below it."""
LOCKS_IN_RESERVE = 300
"""Of the session that ends who holds too many: its statement needs some ten, and others want what it gives back."""
LOCKS_SEEN_EVERY_S = 0.5
"""A sandbox that fills the table does so at once. Expiry and destruction have two seconds, and need some of them."""
LOCKS_SEEN_AGAIN_EVERY_S = 0.02
"""While somebody is kept out: about as long as a login takes."""
LOCKS_FREE_WITHIN_S = 2
"""How long a step that ends a sandbox is tried while the table is full: four of the looks above."""
LOCK_HOARDER_BARRED_S = 10
"""How long sessions of a sandbox that held too many locks are ended whenever they are there."""

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
WORKER_MOST_UNACKNOWLEDGED = 1000
"""Events with workers at a time, of one sandbox: many handlers at once, and a bound on what is delivered again."""

REPLAY_FORGOTTEN_AFTER_S = 10
"""A listener that is gone for so long, two heartbeats, is one no more, and its consumer goes."""
MOST_LISTENERS = 20
"""Of one sandbox: each costs the server a consumer, and whoever has the credentials may ask."""
REPLAY_ANSWERED_WITHIN_S = 60
"""So long the server lets the bot answer a request: four questions to JetStream, after others' turns."""
LARGEST_REPLAY_REQUEST = 16 * 1024
"""Bytes: twice what a hundred of the longest names of events take."""

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
NATS_LOGINS_COUNTED_FOR_S = 5.0
"""Logins are counted for so long, then anew."""
NATS_MOST_LOGINS = 256
"""Of one sandbox in that time: its workers after an outage, all at once, and several times. The rest is not answered,
which costs a tenth of an answer."""
NATS_MOST_REFUSALS = 1000
"""Of everybody in that time: two hundred a second cost a few percent of a core. Strangers beyond that hear nothing."""
NATS_MOST_WATCHED = 1024
"""Connections of which a server says how much they have sent, the busiest first: a hundred sandboxes with all that they
may have, or a thousand with one."""
FLOODS_LOOKED_FOR_EVERY_S = 0.5
"""A flood slows others down for so long, and a look costs the server less than a millisecond."""
FLOOD_MESSAGES = 20_000
"""A second, of one sandbox: more than the events of all sandboxes come to, and a fifteenth of what a flood can be."""
FLOOD_BYTES = 64 * 1024 * 1024
"""A second, of one sandbox: sixty of the largest messages."""
FLOOD_BARS_FIRST_S, FLOOD_BARS_LONGEST_S = 5.0, 300.0
"""So long a sandbox that has flooded NATS is not let in: briefly for one that has a large backlog and fast workers,
and twice as long each time, so that an endless loop floods for a fraction of a percent of the time."""
RESPONDER_MOST_AT_ONCE = 256
"""Requests answered at a time by one process; more wait in the client's own queue."""
RATION = 32
"""Requests of one sandbox that a process takes at a time: more than the listeners that it may have."""
RATION_EVERY_S = 1.0
"""At the earliest after which it takes as many again; and how often the sandboxes that may ask are read, for those that
no login has told of: workers of another process that has ended."""
RATIONED_AT_ONCE = 8
"""Such requests answered at a time, of all sandboxes together: each is three questions to JetStream."""

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

SESSION_CHECKPOINT_EVERY_S = 0.25
"""How often it is written down where the gateway sessions may go on. What came since is played again after a crash, and
JetStream drops the repeats by their ids."""

SESSION_TTL_S = 86_400
"""Longer than Discord keeps a session: from one that it refuses it is known what is missing since when."""

RESUME_ADDRESS_TIMEOUT_S = 10.0
"""How long the address that a session is resumed at may take. It belongs to one of Discord's hosts, which may be gone;
the session goes on at the general address then."""

INTERACTION_ANSWERABLE_S = 3.0
"""How long Discord takes the first answer to an interaction. One of the bot's own that a resumed session plays again
later than that is not run again: its user has long been told that it failed."""

REMEMBERED_INTERACTIONS = 1000
"""Of the bot's own interactions, the last ones whose answers are told apart from those that nobody knows anything of.
Both are kept from the sandboxes."""

REMEMBERED_FORWARDED = 10_000
"""Interactions and private messages whose sandbox is in memory, so that Redis need not be asked: 2 MB."""

FORWARDED_TTL_S = 15 * 60
"""How long it is known in Redis to which sandbox an interaction went: as long as Discord lets it be answered."""

FORWARDED_ANSWER_WITHIN_S = 0.25
"""How long a shard is not read on for Redis's sake. Then an interaction goes on unrecorded, and an answer that nobody
knows is withheld."""

FORWARDED_SPARED_S = 5.0
"""After an answer that did not come Redis is not asked for so long: whoever sends many interactions while it is away
could otherwise halt a shard."""

REMEMBERED_CHANNELS = 100_000
"""Channels whose guild is remembered, for ephemeral messages do not name it: 15 MB, and more than most bots see."""

DESERTED_AFTER_S = 0.5
"""When a forwarded interaction is looked after first: if no worker is connected by then, none will answer it, and the
user need not wait. A worker that answers at once is not asked about at all."""

UNANSWERED_AFTER_S = 2.0
"""When the bot answers in the place of a worker that does not, counted from publishing: a second before Discord's
deadline, for the way to Discord. The reply, its translations and README say “two seconds”."""

WATCHED_INTERACTIONS = 1000
"""How many interactions are watched at once: a flood of them costs no more tasks than that, and the rest is forwarded
unwatched."""

RESPONSE_WATCH_NATS_TIMEOUT_S = 1.0
"""How long NATS may take to say whether a worker is connected: no longer than what is left until the bot answers."""

PUBLISH_HEADERS_BYTES = 512
"""What is set aside for headers in NATS's limit of a message: id, size and the protocol's own are below 200."""

PUBLISH_BUFFER_BYTES = 64 * 1024 * 1024
"""Unacknowledged events in memory at most, besides their number (`routing.window`): large ones fill memory first."""

PUBLISH_CHECK_EVERY_S = 0.1
"""How often reconnects and overdue acknowledgements are looked for: late enough to cost nothing, early enough that an
event waits no longer than this after a reconnect."""

REFUSALS_LOGGED_EVERY_S = 60.0
"""Refused events are told together, at most this often: a refused flood is no reason for a flood of lines."""

ROUTE_LISTEN_TIMEOUT_S = 3.0
"""How long PostgreSQL may take to connect, and to answer on the connection that listens for changed routes, until that
counts as dead and another one is opened."""

ROUTE_RETRY_S = 0.2
"""The first pause before routes are read again after PostgreSQL was away; it doubles up to the longest. Shorter than of
other parts, for a sandbox that was destroyed meanwhile still gets events until then."""

ROUTE_RETRY_LONGEST_S = 2.0
"""Routes are at most this old when PostgreSQL is back."""

ROUTES_READ_EVERY_S = 1.0
"""How old routes may be where no hint of a change came through. The question is one look into an index."""

ROUTE_HINTS_HEARD = 5000
"""Between two reads of all routes. More are a flood by somebody who knows the channel, and then nothing is heard until
the next such read: parsing them would take the time of the events."""

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

NOTIFY_QUEUE_CHECKED_EVERY_S = 1.0
"""How often it is looked how full PostgreSQL's queue of notifications is: it holds 8 GB, by default, and the disk is as
fast as it is."""
NOTIFY_QUEUE_MOST_USED = 0.1
"""The share of it that may be used. Listeners that read keep it almost empty, whatever is sent."""
NOTIFY_QUEUE_LONGEST_TRANSACTION_S = 2.0
"""How long a sandbox's transaction may hold up a queue that is used so far. Ordinary ones take milliseconds."""

ACCESS_UNAPPLIED_AFTER_S = 15.0
"""After how long a change of who may connect is applied by whoever finds it. The process that made it does so right
after its commit, within a second if all stores answer; this leaves it the time of a slow one."""

ROLE_UPDATE_ATTEMPTS = 5
"""How often a role is altered whose worker holds its row. It is shut out from the second on: more are for logins that
were under way. Each waits 0.3 s at most, and README promises an end within two seconds."""

HELD_BACK_AFTER_S = 1.0
"""A session that should have been ended and is there so long after is none that is just about to end."""

STRAY_LARGE_OBJECTS_AT_A_TIME = 100
"""Dropped in one turn, each waiting 5 ms at most for whoever holds it."""

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
OWN_MESSAGE_TTL_S = 86_400
"""How long the buttons of a private answer change it in place. Afterwards they work too, and answer anew."""
OWN_MESSAGES_ANSWER_WITHIN_S = 0.5
"""For Redis to say whether a message is the bot's own: somebody has pressed a button, and Discord waits for 3 s."""
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

BINDING_CHECK_EVERY = timedelta(hours=1)
"""Between two looks at the right of whoever bound a server, one request each: without the privileged intent for members
Discord doesn't say when somebody leaves. A change that it tells of is looked at when it comes."""
BINDING_CHECK_SOON = timedelta(minutes=1)
"""Until the first look, for the right may have gone while the server was being bound, and until the next one where
Discord gave no definite answer: the binding stays until then."""
BINDING_ANSWER_TIMEOUT_S = 5.0
"""For Discord's answer about one binding: others wait behind it."""
BINDING_POLL_S = 30.0
"""Between two questions to PostgreSQL which bindings are due: a hundredth of an hour."""
BINDING_PAUSE_S = 0.5
"""Between two turns, so that a busy server's members cost two small queries a second at most, and who leaves is unbound
within that second."""
BINDING_QUIET_S = 5.0
"""Between two looks at one server that events give a reason to: whoever changes roles without end costs no more."""
BINDINGS_PER_TURN = 20
"""Of those that are due, so that what an event tells of waits for no more than so many answers."""
BINDING_PEOPLE_NOTED = 1000
"""Of one server between two turns; beyond that it is looked at whoever they are."""

NOTICE_HISTORY = 50
"""Messages looked through for a notice that may have been sent already. Discord drops a repeated nonce for minutes
only; a person has rarely got more from the bot since the first attempt."""
