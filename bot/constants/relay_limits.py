"""The relay: a Discord-compatible gateway and HTTP API for each sandbox."""

from __future__ import annotations

RELAY_HEARTBEAT_INTERVAL_S = 41.25
"""What a client is asked for, as Discord does."""

RELAY_IDENTIFY_WITHIN_S = 30.0
"""A connection that has said by then who it is stays; any other costs a file descriptor for nothing."""

RELAY_FRAME_BYTES = 64 * 1024
"""The largest frame of a client. Discord takes 4 KB; a presence or a request for members may be larger."""

RELAY_FRAMES_A_MINUTE = 120
"""As Discord has it; who sends more is closed with 4008."""

RELAY_UNSENT_BYTES = 1 << 20
"""Above this nothing more is pulled for a client that does not read; what it has not read is kept by JetStream."""

RELAY_READS_WITHIN_S = 60.0
"""A client that has not read a byte for so long is closed with 4000. It may resume."""

RELAY_PULL_EVENTS = 2048
"""Events asked for at a time and client. Half of them have come when the next ones are asked for."""

RELAY_PULL_BYTES = 4 << 20
"""The most that one pull may bring, whatever the size of its events; more than one event may have."""

RELAY_PULL_EXPIRES_S = 30.0
"""How long a pull waits for events at the server."""

RELAY_PULL_HEARTBEAT_S = 5.0
"""NATS's sign of life while there is nothing to deliver; without it for two and a half of these the consumer is made
again."""

RELAY_CONSUMER_KEPT_S = 60.0
"""A client's consumer is forgotten by NATS if nobody has pulled for so long."""

RELAY_SESSION_KEPT_S = 15 * 60
"""How long a session may be resumed after its connection was lost. Discord keeps them for some minutes."""

RELAY_POSITIONS_EVERY_S = 0.1
"""How often it is written down how far the clients have come, and which guilds they know: one pipeline to Redis for all
of them."""

RELAY_SESSIONS_LOOKED_FOR_EVERY_S = 1.0
"""How often it is looked whether Redis still has the sessions: one that was started anew may be empty."""

RELAY_SNAPSHOT_SHARED_S = 5.0
"""A guild's state that was fetched so recently serves others that identify, from the place in the stream where it was
read."""

RELAY_GUILDS_AT_ONCE = 5
"""Guilds whose state is fetched at a time for one client: the rest of Discord's fifty requests a second is others'."""

RELAY_ACCESS_CHECKED_EVERY_S = 1.0
"""How soon a rotated token, an expiry and a binding reach the clients that are connected."""

RELAY_ACCESS_REMEMBERED_S = 60.0
"""A token that was right is taken for right so long while PostgreSQL is away."""

RELAY_IDENTIFY_EVERY_S = 2.0
"""One IDENTIFY in this time for each sandbox, for it costs Discord five requests a guild."""

RELAY_DISCORD_WITHIN_S = 30.0
"""How long Discord may take for one answer; a large upload takes some seconds."""

RELAY_IDENTITY_KEPT_S = 300.0
"""How long name and picture of the application are taken for what they were."""

RELAY_ASKS_AGAIN_AFTER_S = 0.5
"""At first, while PostgreSQL or Discord gives no answer that a client's events wait for; up to eight times that."""

RELAY_ASKS_FOR_S = 3.0
"""How long Discord is asked again about what a request waits for, while it says nothing definite: a 502 of a moment is
nothing that a library is told, and most do not try a 503 again."""

RELAY_PAUSE_S = 1.0
"""After a limit of Discord's that does not say how long it holds."""

RELAY_PAUSE_WAITED_FOR_S = 10.0
"""A longer pause is told to whoever asks, with its length: libraries give up what takes half a minute."""

RELAY_CLIENT_WATCHED_EVERY_S = 1.0
"""How often it is looked whether a client reads and speaks."""

RELAY_ROOM_LOOKED_FOR_EVERY_S = 0.02
"""How soon a client that has read what was unsent is sent more."""

RELAY_CONNECTION_WATCHED_EVERY_S = 0.1
"""How soon after NATS is back the clients' consumers are made again."""

RELAY_CONSUMER_MADE_AFTER_S = 0.1
"""Between two consumers of a client: NATS may lose one at once again."""

RELAY_FRESH_INTERACTION_S = 10.0
"""After that, one from before a client began is not worth a try: Discord waits three seconds for an answer."""

RELAY_CLOCKS_DIFFER_S = 1.0
"""NATS's and the relay's: an event so much older than an answer may be newer than it."""

RELAY_BODY_BYTES = 32 << 20
"""The largest body of a request: Discord takes 10 MB a file, and somewhat more from servers with boosts."""

RELAY_REMEMBERED_CHANNELS = 100_000
"""Channels, and webhooks, whose guild is remembered: 15 MB."""

RELAY_UNKNOWN_KEPT_S = 30.0
"""How long Discord is not asked again about a channel or webhook that the bot cannot see: guessing costs the whole
application requests, and invalid ones at that."""

SNOWFLAKE_DIGITS = 20
"""The most that an id of 64 bits has."""

RELAY_REQUESTS_A_SECOND = 40
"""Of Discord's 50 for the whole application; ten stay the bot's own."""

RELAY_REQUESTS_BURST = 40
"""After a pause: as many as a second has."""

RELAY_REQUESTS_WAITING = 500
"""Requests of one sandbox that wait for their turn, some twelve seconds; the next one is answered with 429."""

RELAY_REQUESTS_TOLD_OF = 100
"""So many of one sandbox wait two and a half seconds, of which the alert tells; the log names the sandbox."""

RELAY_SANDBOX_NAMED_EVERY_S = 60.0
"""How often one sandbox at most: its requests come by the hundred."""

RELAY_INVALID_REQUESTS = 100
"""Refusals of Discord's that one sandbox may cause in the time below. Discord bans the address at 10,000."""

RELAY_INVALID_COUNTED_FOR_S = 600.0
"""Discord's own ten minutes."""

RELAY_HOLDER = "SANDBOX_RELAY_HOLDER"
"""The variable in which a process that serves is told who holds its socket."""

RELAY_HOLDER_LOOKED_FOR_EVERY_S = 1.0
"""A process that serves ends so soon after the one that has started it was killed."""

RELAY_LISTEN = "127.0.0.1:8791"
"""Beside embedded stores, if nothing is said."""

UNKNOWN_BOT_ID = 10**17
"""Stands for the id of the bot's user in tokens if Discord's own token doesn't say it: libraries want some number."""

RELAY_COMMANDS_EVERY_S = 2.0
"""How soon the commands of a sandbox's bot are in a server that is bound, and gone from one that is unbound."""

RELAY_COMMANDS_CLAIMED_S = 60.0
"""How long one process has a guild's commands to itself: a hundred take that long with Discord's limits."""

RELAY_COMMANDS_SPARED_S = 60.0
"""A guild in which Discord has refused commands is left alone for so long; the limit is two hundred a day."""

RELAY_RECORDS_WRITTEN_EVERY_S = 1.0
"""How soon it is seen elsewhere how far a client of the relay has come; that one has come or gone is told at once."""

RELAY_RECORD_KEPT_S = 10.0
"""A client, or a relay, of which nothing is heard for so long is gone with its process. A client that has lost its
connection is expected back for so long, and counts as somebody who reads."""

RELAY_CALLBACK_WITHIN_S = 10.0
"""How long nobody answers an interaction in the place of a bot whose own answer is on its way to Discord."""

RELAY_JSON_VALUES = 200_000
"""The most objects, lists and values that a body's JSON may have: in memory each takes many times its text."""

RELAY_JSON_DEPTH = 64
"""How deep they may stand in one another. Discord's own forms need ten."""

RELAY_BODIES_BYTES = 96 << 20
"""What the bodies of one sandbox's requests may take at a time: three of the largest."""

RELAY_REQUESTS_AT_WORK = 600
"""Requests of one sandbox that are read or answered at a time: those that wait for their turn, and some more."""

RELAY_BODY_WITHIN_S = 120.0
"""How long a client may take to send a body: 32 MB at two megabits a second."""

RELAY_IDLE_CONNECTION_S = 60.0
"""A connection on which no request has come, or not the whole head of one, is closed: it costs a file descriptor."""

RELAY_MADE_MESSAGES = 10_000
"""Messages and answered interactions of one sandbox that are remembered as its own: 1 MB in Redis."""

RELAY_MADE_KEPT_S = 30 * 24 * 3600
"""How long they are, and its direct channels, after the last one was made or used."""

RELAY_MEMBERSHIP_KEPT_S = 300.0
"""How long somebody is taken for a member of a server to whom a sandbox's bot may write."""

RELAY_MESSAGES_LOOKED_UP = 3
"""Above so many messages whose author is not known, a page of the channel's history is cheaper than each by itself."""

RELAY_WEBHOOKS_EVERY_S = 2.0
"""How soon the webhooks of a sandbox's bot are gone from a server that is unbound."""

RELAY_WEBHOOK_ANSWER_WITHIN_S = 90.0
"""After that, Discord's answer about a new webhook does not come any more: it is looked for."""

RELAY_WEBHOOKS_SPARED_S = 600.0
"""A webhook that Discord does not let the bot delete is tried again so much later."""

RELAY_USAGE_EVERY_S = 10.0
"""How often what sandboxes' bots have changed is written down: the most that a crash forgets."""

RELAY_USAGE_KEPT_S = 90 * 24 * 3600
"""How long it is kept."""
