"""Every fixed wait for an answer of a store, in seconds. No other stands in the code, but for those on servers of this
machine and at the end of the process.

Each has room for the round trips of what is asked, on a line as slow as `SLOW_ROUND_TRIP_S`. A limit for a first answer
is none for further ones: those are waited for as long as the first has taken, and `…_OTHERS_WITHIN_S`.
"""

from __future__ import annotations

SLOW_ROUND_TRIP_S = 0.3
"""To a store on another continent, over a mobile network or a tunnel. All that the bot and its workers do is tried with
it (`make long`)."""

# --- PostgreSQL ------------------------------------------------------------------------------------------------------

POSTGRES_CONNECT_WITHIN_S = 10
"""TCP, TLS and SCRAM are five to eight round trips, and what is prepared on a new connection as many again; a firewall
that drops packets would take for ever."""
POSTGRES_ANSWER_WITHIN_S = 30
"""For one statement. Dropping a sandbox's schema with thousands of tables takes seconds."""
POSTGRES_GIVEN_BACK_WITHIN_S = 3
"""For the server to say that a statement is broken off, which takes a connection more, or a transaction rolled back:
four round trips at most. Then the connection is taken for dead: a server that stands still, or a line whose other end
is gone."""
POSTGRES_WAIT_FOR_CONNECTION_S = 60
"""More callers than connections wait for their turn; this is for a server that takes questions and never answers."""
LOCKS_FREE_WITHIN_S = 5
"""How long a step that ends a sandbox is tried while the table of locks is full: for the lock guard that is near the
server ten looks, and two for one that is far, whose look takes four round trips."""
POSTGRES_OTHERS_WITHIN_S = 0.2
"""Where the address has several hosts: how long another one may take after the first that takes writes, for it may do
so too, and be the one that was promoted since. One that is silent is not waited for."""
POSTGRES_NOTIFIED_WITHIN_S = 3
"""For a notification to oneself, two round trips, at the start: a pooler in transaction mode never brings it."""
PRIMARY_ANSWERS_WITHIN_S = 1.5
"""Where the address has several hosts: one that doesn't say within this time that it takes writes may have lost its
place to another one, which is looked for."""
STANDBY_CONNECT_WITHIN_S = 3
"""TCP, TLS and SCRAM with a server that may stand still, and is to be heard of soon when it doesn't any more."""
STANDBY_ANSWERS_WITHIN_S = 1.5
"""For one statement there: a round trip, and some on a server that is busy."""
LEASE_ANSWER_WITHIN_S = 1.5
"""For a renewal of the leases, three round trips on a connection that is there. With the pause between renewals it is
less than `LEASE_DOUBTED_AFTER_S`."""
ROUTE_LISTEN_TIMEOUT_S = 3.0
"""For one question on the connection that listens for changed routes, until that counts as dead and another one is
opened."""
OWN_INTERACTION_KNOWN_WITHIN_S = 0.5
"""For the keys of buttons, one round trip, while an interaction waits, and with it the events behind it: with
`PROMISE_AFTER_S` the 1.5 s that README promises."""

# --- Valkey or Redis -------------------------------------------------------------------------------------------------

REDIS_ANSWER_WITHIN_S = 5
"""For connecting and for one command. The bot's own take milliseconds; a server that answers none is away."""
SENTINEL_ANSWER_WITHIN_S = 1.0
"""For one Sentinel to say who the master is, which it knows: then another one is asked."""
OWN_MESSAGES_ANSWER_WITHIN_S = 0.9
"""For whether a message is the bot's own: two round trips, for a connection that has rested is tried first. Somebody
has pressed a button, and Discord waits for 3 s."""
FORWARDED_ANSWER_WITHIN_S = 0.5
"""For where an interaction went, one round trip: so long a shard is not read on, which counts as above. Then it goes on
though that may not be recorded yet, and an answer that nobody knows is withheld."""
SCRIPT_SILENCE_S = 2.0
"""For the script guard's questions: a server that a script stops says so after half a second, unless it is within one
function of the script's language."""

# --- NATS ------------------------------------------------------------------------------------------------------------

NATS_CONNECT_WITHIN_S = 6
"""For the first connection, retries included: a start says within seconds that the address is wrong."""
NATS_HANDSHAKE_WITHIN_S = 4
"""For one try: more than the 3 s that a server takes for a login, so that its reason is heard; less than the above."""
NATS_ANSWER_WITHIN_S = 5
"""For one question to JetStream, on a disk that others use too."""
NATS_GIVEN_UP_AFTER_S = 60
"""For an answer that nobody waits for any more and that nats-py must not give up. A silent connection ends sooner."""
NATS_SERVERS_ANSWER_WITHIN_S = 1.0
"""For the first server to say that it is there, one round trip. The one that we are connected to may stand still, and
its client finds another one in such a time."""
NATS_LIST_WITHIN_S = 2
"""For a server's list of connections: no disk is asked. Whoever is to be cut off there goes on meanwhile, but no other
server is waited for."""
NATS_OTHERS_WITHIN_S = 0.25
"""For each further server of a cluster to say that it is there: what two servers of a cluster need for each other,
beside what the first has taken. One that is in no cluster is not waited for."""
NATS_DISCONNECT_WITHIN_S = 2
"""For ending one connection: README promises an end within two seconds."""
NATS_LOGIN_ANSWER_WITHIN_S = 2.1
"""For the callout's answer to a login: four to six round trips to PostgreSQL and NATS. With one to NATS, and the
worker's own, it is less than the 2.8 s that the kit waits for a connection, which is less than the server's three."""
NATS_LOGIN_UNLISTED_S = 1.0
"""So long after the callout's answer a server may not list the connection that it lets in: the answer and the list have
a round trip between them. It counts for the limit meanwhile."""
NATS_LOGIN_ENDS_WITHIN_S = 4
"""For a login that is under way to end, by the bots' answer or by the server's three seconds for it."""
NATS_PROBE_WITHIN_S = 5
"""For trying whether the server asks the bots, and what such a login is good for: longer than the callout may take
(`timeout` in nats.conf), so that the server's own word is heard."""
FLOOD_ACCEPTED_WITHIN_S = 1.5
"""For how much a sandbox that sends very much has acknowledged. A server that the flood keeps from answering lets it go
on for so long."""
READ_ON_AFTER_S = 0.5
"""How long a shard is not read while NATS takes nothing more. One that is only slower than Discord is waited for, and
acknowledges something within a round trip; what is longer is an outage, and a command behind its events could not be
answered within three seconds."""

# --- Several of them -------------------------------------------------------------------------------------------------

ACTIVITY_ANSWERED_WITHIN_S = 2.0
"""How long `list` and `status` wait for a bot to write down what it has counted: two round trips to NATS and two to
PostgreSQL, and its own pause. What is read after that is as old as `sandboxes.activity_every` at most."""
ACTIVITY_OTHERS_WITHIN_S = 0.05
"""For each further process, beside what the first has taken: nobody knows how many there are, and all do the same at
the same time."""
HEALTH_TIMEOUT_S = 6
"""How long a store may take to say how a sandbox's share is. All three are asked together, and somebody waits: with the
activity before it, less than `WORK_WITHIN_S`."""
ACCESS_UNAPPLIED_AFTER_S = 15.0
"""After how long a change of who may connect is applied by whoever finds it. The process that made it does so right
after its commit, within a second if all stores answer; this leaves it thirty round trips and the time of a slow
store."""
TAKEN_OVER_AFTER_S = 6.0
"""After how long a repeat goes on with what the first run has not finished, which may be dead. Longer than a create, a
reset and Discord's receipt of an answer usually take, and with what follows less than a command has altogether. Who is
alive after all disturbs nothing: each step may be repeated."""
SAVE_WITHIN_S = 1.5
"""How long writing down the place in a session, giving back the leases, or the activity, may take at a stop: what was
under way has to end first, or a new connection to be opened, five round trips. Without the first more events are
received again, without the second a standby waits for five seconds, without the third a count is some seconds old."""
