"""Stores: PostgreSQL, Valkey or Redis, NATS, and the embedded ones."""

from __future__ import annotations

from datetime import timedelta

NATS_LOOK_EVERY_S = 0.5
"""How often it is looked whether a connection to NATS is up, for its state and for telling of an outage. The client
itself notices at once."""
POSTGRES_LOGIN_WARNED_OVER_S = 10
"""`check` warns if the server's `authentication_timeout` is longer. A login takes milliseconds, on a far server a
second, and whoever connects and says nothing has a slot for so long."""
POSTGRES_BESIDE_POOL = 10
"""Connections of a bot that are not its pool's, by its parts for leases, upkeep, locks and routes, and of a command
line beside it."""
POSTGRES_PORT = 5432
"""The usual one."""
PRIMARY_ASKED_EVERY_S = 0.5
"""How often the primary is asked whether it still is, where the address has several hosts: what one that stands still
holds up is let go about two seconds later, if another one has been promoted."""
MIGRATION_WAITS_FOR_LOCK_S = 0.5
"""A running bot's statements wait behind the migration meanwhile. Less than the second after which PostgreSQL looks for
deadlocks: so it is never the bot that has to give way."""
MIGRATION_TRIED_AGAIN_AFTER_S = 0.5
MIGRATION_TRIED_FOR_S = 60.0
"""A transaction of a running bot takes seconds at most; a session that somebody has left open may take for ever."""

MOST_LOCKS_OF_A_SANDBOX = 2000
"""In PostgreSQL's table of locks, which all share; on a small server a quarter of the table, if that is less. A worker
that alters all of some hundred tables in one transaction stays below it."""
LOCKS_IN_RESERVE = 300
"""Of the session that ends who holds too many: its statement needs some ten, and others want what it gives back."""
LOCKS_SEEN_EVERY_S = 0.5
"""A sandbox that fills the table does so at once. Expiry and destruction have two seconds, and need some of them."""
LOCKS_SEEN_AGAIN_EVERY_S = 0.02
"""While somebody is being ended: about as long as a login takes."""
OTHERS_WAITED_FOR_S = 0.2
"""A sandbox's lock on what is not its own is ended when somebody has waited for it so long: reading the catalogue takes
such locks for some milliseconds, and two seconds have room for this and a look."""
LOCK_HOARDER_BARRED_FIRST_S, LOCK_HOARDER_BARRED_LONGEST_S = 10.0, 300.0
"""So long a sandbox that held too many locks, or others', is not let in, and twice as long each time: whoever fills the
table again and again does so for half a second in five minutes."""

STANDBYS_SEEN_EVERY_S = 0.5
MISPLACED_SESSIONS_LAST = timedelta(seconds=1)
"""After so long and a look a worker's session on a standby is ended: less than two seconds. A client that looks for the
primary has left by then."""

SIZES_SEEN_EVERY_S = 10.0
"""A disk takes about a hundred megabytes a second, and a look at a thousand sandboxes some tenths of one."""
LARGE_SANDBOX_BARRED_FIRST_S, LARGE_SANDBOX_BARRED_LONGEST_S = 30.0, 600.0
"""So long a sandbox that takes too much of the disk is not let in, and twice as long each time; between two times it
has ten to twenty seconds to make room."""

REDIS_HEALTH_CHECK_EVERY_S = 30
"""A connection unused for so long is tried before it is used, for what lies between may have forgotten it."""
SENTINELS_ASKED_EVERY_S = 0.5
"""For the master: within three seconds of a failover the new one has the sandboxes' users, and they are looked at every
second (`sandboxes.sweep_every`)."""
REDIS_KEYS_AT_A_TIME = 1000
"""Scanned or unlinked by one command, during which the server answers nobody else."""
REDIS_DATABASES = range(1, 10_000)
"""Of the embedded server, for sandboxes; the bot is in the first. Those that nobody uses cost it half a megabyte."""
REDIS_DATABASES_TRIED = 64
"""At random for a new sandbox: where half of them are in use, one of so many is free."""
REDIS_MAX_MEMORY = "2gb"
"""Of the embedded server: a write beyond is refused, before the kernel ends a process of its choice for it."""
REDIS_LARGEST_VALUE = "64mb"
"""Of the embedded server: one SETRANGE made half a gigabyte otherwise."""
SCRIPT_BUSY_AFTER_MS = 500
"""So long a sandbox's script may stop the embedded server before it is ended. Those of libraries take a millisecond."""
SCRIPTS_SEEN_EVERY_S = 0.25
"""With the above and a start of the server, which takes a second with its users, neighbours are back within three."""
SCRIPT_SILENT_COMPUTING_S = 1.0
"""So long such a server has computed since its last answer: it waits for no disk. No command should take so long."""
SCRIPT_ASKED_AGAIN_WITHIN_S = 0.75
"""On a new connection, before a silent server of this machine is ended: more than it takes to say that a script stops
it."""
SCRIPT_KILLED_WITHIN_S = 0.3
"""For a script that was told to end: it takes milliseconds. Then there is the next one."""
SCRIPT_ENDS_EVERY_S = 0.01
"""Between looks whether it has ended."""
SCRIPT_SLOW_COMMANDS_READ = 16
"""Of the slow log, whose newest entry it is, unless others have been as slow at the same moment."""
SCRIPT_UNNAMED_FOR_S = 600.0
"""So long after a script of somebody unknown the next one's is found out by ending the embedded server."""

NATS_RECONNECT_AFTER_S = 0.25
"""Between tries: a short outage should not be prolonged, and four tries a second cost a server nothing."""
NATS_PING_EVERY_S = 10
"""nats-py ends a connection after two unanswered ones: a network that swallows packets is noticed within 30 s."""
NATS_CLUSTER_PING_EVERY_S = 0.5
"""The same where another server could take over: 1.5 s after its server has fallen silent the client is with the next.
One server alone is waited for, for it may only be slow."""
NATS_LEADER_ASKED_TIMES = 3
"""At a start, each time for `NATS_ANSWER_WITHIN_S`: the servers of a cluster choose a leader within ten seconds."""
NATS_USUAL_PAYLOAD = 1024 * 1024
"""Bytes that a server takes as one message unless it is told otherwise; hardly an event of Discord's has as many."""
NATS_CONNECTIONS_OF_BOT = 5
"""For events, for the callout, as the system's user, for workers' questions, and of the relay."""
NATS_STREAM_DUPLICATE_WINDOW_S = 600
"""How long a stream remembers message ids, at most: what the publisher sends again after an outage, or Discord after a
restart, is known by its id for so long. The server wants it no longer than events are kept."""
NATS_SYNC_EVERY_S = 1
"""How often the embedded server brings what it has acknowledged to the disk. A longer pause makes it no faster."""
NATS_SYNC_USUALLY_EVERY_S = 120
"""The same where nobody has set it: what a loss of power takes then nobody marks."""
NATS_SYNC_LASTS_S = 4
"""At most, on a disk that others use too, once for what is under way and once for what comes behind it."""
NATS_SYNC_TRUSTED_UP_TO_S = 10
"""Of one's own server. Discord is asked again for all that a longer interval may lose, and no longer keeps that surely;
`check` warns."""
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

NATS_MOST_DISCONNECTS = 5
"""Rounds of ending a sandbox's connections. A login that was under way shows in the second; more are for slow ones."""
NATS_MOST_RECENT_LOGINS = 1000
"""Sandboxes whose recent logins are remembered; a bound on memory, more than log in within a second."""
NATS_MOST_LISTED = 65_536
"""Connections listed by a server, which says at most 1024 by itself: more than it is meant to have."""
NATS_SERVERS_ASKED_AT_ONCE = 64
"""About one sandbox's connections: a cluster has three or five."""
NATS_SERVERS_LOOKED_FOR_EVERY_S = 0.5
"""How often it is asked who is there. It costs a server less than a millisecond, and one that answers again has two
seconds until nobody is connected there any more with credentials that have ended meanwhile."""
NATS_SERVERS_LOOKED_FOR_AGAIN_S = 0.05
"""After a look that nobody has answered for a second: the two seconds run for those, too, that live."""
NATS_SERVERS_ASKED_AGAIN_S = 0.2
"""How often they are asked in one look until the first answers: a question is lost with the connection it was on."""
NATS_SERVERS_KNOWN_FOR_S = 3.0
"""So long a process that does not look all the time, as the command line, goes by its last look."""
NATS_SERVER_SILENT_AFTER_S = 1.5
"""A server that has not answered for so long, at two looks in a row, may have missed what other processes have asked of
it, and is waited for by nobody."""
NATS_SERVER_GONE_AFTER_S = 600.0
"""A server that has been silent for so long, and that is no member of the cluster, does not come back with its
connections: an operator has removed it, or it stores no streams and has not been started again under its name."""
NATS_SERVERS_CHECKED_EVERY_S = 15.0
"""How often all connections are compared with the credentials that count, for what a process that died has left undone.
A server lists a thousand in some milliseconds."""
NATS_CHECKED_AGAIN_FIRST_S, NATS_CHECKED_AGAIN_LONGEST_S = 0.05, 0.5
"""Pauses while a server's check finds somebody to end, or a login under way."""
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
NATS_DISCONNECTS_AT_ONCE = 64
"""Connections of one sandbox that a server is told to end at a time: on a far one each takes a round trip."""
FLOODS_LOOKED_FOR_EVERY_S = 0.5
"""A flood slows others down for so long, and a look costs the server less than a millisecond."""
FLOOD_MESSAGES = 20_000
"""A second, of one sandbox: more than the events of all sandboxes come to, and a fifteenth of what a flood can be."""
FLOOD_MESSAGES_OF_NO_WORKER = 100_000
"""A second: a worker that takes events in large batches and acknowledges each comes to less on one connection."""
FLOOD_BYTES = 64 * 1024 * 1024
"""A second, of one sandbox: sixty of the largest messages."""
FLOOD_SUSPECTED_FOR_S = 10.0
"""So long after a look at which it had sent too much a sandbox is barred when it does so again."""
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
PORT_CHOICES = 5
"""Before a start gives up: a chosen port may be taken by another program before its server has it."""
SERVER_STOP_WITHIN_S = 4.0
"""For an embedded server that was asked to stop; then it is killed. A container gets ten seconds for everything."""
GUARDIAN_STOP_WITHIN_S = 8.0
"""More than twice the above, for the guardian stops all servers at the same time and then ends."""
SERVER_RESTART_AFTER_S = 0.2
"""Before a server that has ended is started again: soon enough for whoever waits on it."""
SERVER_RESTART_AFTER_AT_MOST_S = 5.0
"""The pause doubles up to this for one that ends again and again. One that lived longer than this starts anew."""
SERVER_ABORTS_WITHIN_S = 1.0
"""For the report of an embedded server that is ended for what it does; then it is killed. It takes 20 ms."""
SERVER_ABORT_POLL_S = 0.002
"""Between looks whether it has stood still, and then ended."""
SERVER_LOG_MOST = 16 * 1024 * 1024
"""Bytes of Valkey's log, which scripts write to; beyond, it begins anew."""
SERVER_REPORT_READ = 1024 * 1024
"""Bytes of that report: it is 20 KB, and the end of it is a list of clients."""
SERVER_NEEDS_ROOM = 1024 * 1024
"""Bytes that have to fit onto the disk before a server that could not write is started again: NATS needs some KB."""
SERVER_WRITES_WITHIN_S = 2.0
"""For so much: on a disk that takes longer it is slow, and a start is not what it needs."""
STORE_RESTARTS_APART_S = 60.0
"""Between two ends of the same embedded server that the bot decides on: what did not help at once is not done without
pause."""
STORE_RESTARTS_TOLD_EVERY = timedelta(seconds=1)
"""How often they are told, as long as PostgreSQL or Discord has not taken it."""
SERVERS_GONE_WITHIN_S = 5.0
"""For the servers of a guardian that is no more, which the kernel tells to end; then they are killed."""
FOLDER_LOCK_WITHIN_S = 10.0
"""For the servers of a bot that is no more: as long as they may take to stop, and some more."""
EMBEDDED_OWNERS = 5
"""Developers for whose whole quota of sandboxes the embedded PostgreSQL has connections: 25 sandboxes by default."""
EMBEDDED_SPARE_CONNECTIONS = 10
"""For superusers, and for some that end while others begin."""
EMBEDDED_MOST_CONNECTIONS = 2000
"""Each costs memory from the start, for its locks: 70 MB for so many. `check` says where it is not enough."""
PROGRAM_VERSION_WITHIN_S = 10.0
"""For a program that was named in [embedded] to say its version: the first start from a cold disk."""
EMBEDDED_ANSWER_WITHIN_S = 5
"""For an embedded server's first answer, after which it is asked again."""
EMBEDDED_POLL_S = 0.02
"""Between looks at something that nothing announces, at start: a server that starts in 50 ms should cost no more."""
