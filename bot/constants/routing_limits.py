"""Data plane: from the gateway into JetStream."""

from __future__ import annotations

SESSION_CHECKPOINT_EVERY_S = 0.25
"""How often it is written down where the gateway sessions may go on. What came since is played again after a crash, and
JetStream drops the repeats by their ids."""

SESSION_TTL_S = 86_400
"""Longer than Discord keeps a session: from one that it refuses it is known what is missing since when."""

LEASE_S = 5.0
"""How long a process may have a shard's gateway session without renewing that: another one takes over so long after its
death. Longer than a restart of PostgreSQL on a quiet machine."""

LEASE_RENEWED_EVERY_S = 1.0
"""Four renewals may fail before the lease runs out."""

LEASE_TRIED_EVERY_S = 0.25
"""How often a standby asks whether a lease is free: after a stop in good order no command should have to wait."""

LEASE_DOUBTED_AFTER_S = 3.0
"""A process that has not even tried to renew for so long stood still, and may have lost its leases. With the time for
an answer this is less than a lease."""

GATEWAY_PROCESS_FORGOTTEN_AFTER_S = 3600
"""When the row of a process that was killed is removed; it counts for nothing long before."""

RESUME_ADDRESS_TIMEOUT_S = 10.0
"""How long the address that a session is resumed at may take. It belongs to one of Discord's hosts, which may be gone;
the session goes on at the general address then."""

INTERACTION_ANSWERABLE_S = 3.0
"""How long Discord takes the first answer to an interaction. Of one of the bot's own that a resumed session plays again
later than that, Discord is asked whether it was answered in time: otherwise its user was told that it failed."""

STAMPED_CLOCK_BEHIND_S = 1.0
"""A service's time may be later by so much than is known of it: the `Date` of an answer has no fractions."""
CLOCK_OFFSET_HOLDS_S = 600.0
"""How long Discord's time is worked out from what it said then, at most twice as long: two clocks that nobody sets
drift apart by up to a second in three hours."""

DISCORD_SURELY_KEEPS_S = 60.0
"""For so long nobody needs to be told that events wait at Discord. It keeps them for some minutes, and says not for how
many."""

STORING_LOOKED_AT_EVERY_S = 1.0
"""How often it is looked whether NATS stores what it is given."""

NOT_STORED_TOLD_AFTER_S = 30.0
"""So long the oldest event is unacknowledged, and NATS answers, until that is told. A NATS that is only slow
acknowledges others meanwhile."""

NOT_STORED_MENDED_AFTER_S = 15.0
"""So long for an embedded one, whose disk can be tried: all goes on within 30 s of its having room again."""

NOT_STORED_AS_IT_SAYS_S = 5.0
"""If NATS itself says that it cannot."""

REMEMBERED_AHEAD = 100_000
"""Events for the bot itself that were handled while the rest waited at Discord, so that they are not handled again: 10
MB."""

REMEMBERED_INTERACTIONS = 1000
"""Of the bot's own interactions, the last ones whose answers are told apart from those that nobody knows anything of.
Both are kept from the sandboxes."""

REMEMBERED_FORWARDED = 10_000
"""Interactions and private messages whose sandbox is in memory, so that Redis need not be asked: 2 MB."""

WITHHELD_FROM = 1000
"""Sandboxes of which it is counted how many private answers were withheld: more than have workers at a time."""

FORWARDED_TTL_S = 15 * 60
"""How long it is known in Redis to which sandbox an interaction went: as long as Discord lets it be answered."""

FORWARDED_SPARED_S = 5.0
"""After an answer that did not come Redis is not asked for so long: whoever sends many interactions while it is away
could otherwise halt a shard."""

REMEMBERED_CHANNELS = 100_000
"""Channels whose guild is remembered, for ephemeral messages do not name it: 15 MB, and more than most bots see."""

DESERTED_AFTER_S = 0.5
"""When a forwarded interaction is looked after first: if no worker is connected by then, none will answer it, and the
user need not wait. A worker that answers at once is not asked about at all."""

DESERTED_LOOKS_APART_S = 0.3
"""Between that look and a second one, which has to find the same: between two requests for events a worker waits for
none, and one that connects again is gone for a moment."""

UNANSWERED_AFTER_S = 2.8
"""When the bot answers in the place of a worker that does not, at the latest, counted from the interaction by Discord's
clock: `INTERACTION_ANSWERABLE_S` less the time that Discord itself needs."""

WATCHED_INTERACTIONS = 1000
"""How many interactions are watched at once: a flood of them costs no more tasks than that, and the rest is forwarded
unwatched."""

PUBLISH_HEADERS_BYTES = 512
"""What is set aside for headers in NATS's limit of a message: id, size and the protocol's own are below 200."""

PUBLISH_BUFFER_BYTES = 64 * 1024 * 1024
"""Unacknowledged events in memory at most, besides their number (`routing.window`): large ones fill memory first."""

LANE_BYTES = 16 * 1024 * 1024
"""Of events that wait for one stream that takes nothing while others do: ten thousand usual ones, more than come in the
ten seconds after which a cluster has another leader."""

LANES_BYTES = 64 * 1024 * 1024
"""Of those of all such streams together."""

LANE_WAITED_FOR_S = 300.0
"""How long the place in a gateway session waits for a stream that takes nothing. A later one would be of no use to the
others: Discord plays again what came in some minutes, and streams know repeats for ten."""

RECOVERY_FIRST_PAUSE_S = 0.1
"""How long after a failure a stream's oldest event is sent again; the pause doubles up to the longest."""

RECOVERY_LONGEST_PAUSE_S = 1.0
"""So long a stream that takes events again is not noticed."""

RECOVERY_MOST_AT_ONCE = 512
"""Events of a stream that has just come back, between those of others: the burst doubles up to so many."""

MOST_CHECKPOINTS = 1000
"""Of a shard, while the oldest event waits: four minutes of them. Then the last one is replaced."""

PUBLISH_CHECK_EVERY_S = 0.1
"""How often reconnects and overdue acknowledgements are looked for: late enough to cost nothing, early enough that an
event waits no longer than this after a reconnect."""

REFUSALS_LOGGED_EVERY_S = 60.0
"""Refused events are told together, at most this often: a refused flood is no reason for a flood of lines."""

REFUSED_STREAMS_NAMED = 10
"""Those with the most refused events; one line has room for them."""

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

GATEWAY_CONNECT_TIMEOUT_S = 30.0
"""How long a connection to the gateway may take until Discord has greeted; then it is tried anew."""

RESUME_PAUSE_S = 1.0
"""The longest second attempt's pause: the first one is made at once, for events wait. It doubles up to the longest."""

RESUME_PAUSE_LONGEST_S = 30.0
"""Discord keeps a session for minutes only, and each pause is waited for by every server of the shard."""

RESUME_LIVED_S = 30.0
"""How long a connection has to live until the next one may follow at once: Discord cuts healthy ones hours apart."""

IDENTIFY_PAUSE_S = 5.0
"""As `RESUME_PAUSE_S`, where a session begins anew: Discord takes one in five seconds."""

IDENTIFY_PAUSE_LONGEST_S = 600.0
"""Half of it on average: some 300 a day at worst, of a thousand."""

IDENTIFY_LIVED_S = 600.0
"""How long ago the last new session has to be until the next one may follow at once."""

IDENTIFY_EVERY_S = 5.0
"""Discord begins `max_concurrency` sessions in so many seconds, and refuses others with op 9."""

IDENTIFY_LIMIT_READ_EVERY_S = 300.0
"""How often the limit is read again while nothing is left of it: a machine that was suspended must not wait on."""

IDENTIFY_LIMIT_READ_SOONEST_S = 1.0
"""And at the soonest, whatever Discord says when it is reset."""
