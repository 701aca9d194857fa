"""Data plane: from the gateway into JetStream."""

from __future__ import annotations

SESSION_CHECKPOINT_EVERY_S = 0.25
"""How often it is written down where the gateway sessions may go on. What came since is played again after a crash, and
JetStream drops the repeats by their ids."""

SESSION_TTL_S = 86_400
"""Longer than Discord keeps a session: from one that it refuses it is known what is missing since when."""

RESUME_ADDRESS_TIMEOUT_S = 10.0
"""How long the address that a session is resumed at may take. It belongs to one of Discord's hosts, which may be gone;
the session goes on at the general address then."""

INTERACTION_ANSWERABLE_S = 3.0
"""How long Discord takes the first answer to an interaction. Of one of the bot's own that a resumed session plays again
later than that, Discord is asked whether it was answered in time: otherwise its user was told that it failed."""

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
