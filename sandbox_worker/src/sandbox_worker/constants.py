"""Every fixed wait, limit and patience of the kit, each with its reason.

Seconds end in `_S`. They are read as `constants.NAME` when they are used, so that a test can change one.
"""

from __future__ import annotations

from sandbox_worker import protocol

# --- The connection to NATS ------------------------------------------------------------------------------------------

CONNECT_TIMEOUT_S = 2.8
"""Less than the three seconds that the server waits for the bot's word on a login: a bot that is away is silence, not a
refusal. Far from the servers, and they from the bot, it takes two of them."""

ANSWER_TIMEOUT_S = 3
"""For the server's word that it has heard something: a round trip, after what else is on its way."""

REFUSED_FOR_S = 4.0
"""How long a login is refused before that is the end: a bot that is starting, or renewing a login, may be slow."""

REFUSED_WITHIN_S = 1.5
"""A refusal that takes longer is nobody's word: a server refuses, too, when no bot has answered it in time, which is
after two seconds unless its configuration says otherwise."""

FIRST_RECONNECT_DELAY_S, LONGEST_RECONNECT_DELAY_S = 0.1, 2.0
"""Doubled each time in between: soon back after a restart, and no storm of logins in a long outage."""

PING_INTERVAL_S = 10
"""Where there is one server, a connection that is dead without a word is noticed after two of them: nobody else would
answer sooner."""

PING_PAUSE_S, PING_SILENCE_S = 0.4, 1.4
"""Where there are several, one that says nothing for so long, although asked, is left: within two seconds in all."""

PING_FORGOTTEN_AFTER_S = 600
"""Longer than anything takes that comes before the answer."""

TURNS_TO_READ = 8
"""Of the event loop, in which what has come meanwhile is read: a worker may have held it up for as long as it likes."""

CLOSE_TIMEOUT_S = 0.1
"""For the end of a connection that is lost: a frozen server would take it for ever, with TLS for 30 seconds."""

CLOSED_CHECK_S = 0.25
"""Between two looks at whether an older nats-py has lost its connection without a word."""

REACHABLE_WITHIN_S = 8.0
"""How long `tail` waits for NATS at its start before it says that it is not reachable: some person waits for it."""

# --- Events ----------------------------------------------------------------------------------------------------------

BATCH = 64
"""Events fetched at a time: enough to keep a fast worker busy, few enough to give back at the end."""

PULL_EXPIRES_S = 30
"""How long the server waits with an unfilled batch: a question every half a minute costs nothing."""

PULL_HEARTBEAT_S = 0.9
"""The sign of life of whoever leads the consumer, while there is nothing to send."""

MISSED_HEARTBEATS = 2.1
"""Signs of life that did not come, in a pull or a replay: whatever was asked for is lost, and is asked for again. With
the pauses in between, a leader's death is noticed within two seconds."""

KEPT_FOR_S = protocol.ACK_WAIT_S - 5.0
"""An event that has waited longer is about to be delivered anew, perhaps to another worker: it is left to that."""

LOST_TOLD_AFTER_S = 1.0
"""How long there may be no consumer before that is told: it may move to another server, or be back already."""

LOST_RETRY_DELAY_S = 0.5
"""Between two questions to a consumer that is not there. It is waited for as long as the bot does not say that the
sandbox is destroyed."""

STATE_WAITED_FOR_S = 1.5
"""For the bot's answer, before an event that may have been delivered before is handed out all the same: some
interaction, which has three seconds, may be behind it."""

STATE_RETRY_DELAY_S = 0.5
"""Between two questions to a bot that is away, or is about to make the stream again."""

# --- tail ------------------------------------------------------------------------------------------------------------

REPLAY_TIMEOUT_S = 5
"""For the bot's answer, which takes it a question to JetStream."""

REPLAY_RETRY_DELAY_S = 1.0
"""Between two questions to a bot that is away."""

# --- Messages, stores and Discord ------------------------------------------------------------------------------------

UNREAD_MESSAGES = 1000
"""Messages of other workers that wait for a slow reader; nats-py keeps the ones behind them, up to its own limit."""

PG_SESSIONS = 4
"""Less than the ten that a sandbox may have, so that two workers and a shell fit in."""

PG_HOST_TIMEOUT_S = 3
"""For one host of several: one that stands still would keep the others from being asked."""

REDIS_CONNECTIONS = 8
"""Several may be blocked in a pop at the same time."""

REDIS_TIMEOUT_S = 5
"""To connect; an address that swallows packets would hold up a worker for minutes."""

REDIS_RETRIES = 5
"""With up to a second between them: the time that a restarted server takes."""

FAILOVER_TIMEOUT_S = 40.0
"""For a connection where there are Sentinels, which may take half a minute to agree on another server; and then the bot
lets the sandbox in there."""

SENTINEL_TIMEOUT_S = 1
"""For one of them to say what it knows: then another one is asked."""

SENTINELS_ASKED_EVERY_S = 1.0
"""Whether the server is still the one that takes writes: of one that is frozen nothing else tells."""

FIRST_ANSWER_WITHIN_S = 3.0
"""Discord's own limit. Counted from the call: its clock is another one, and after that it is too late in any case."""

FIRST_ANSWER_TRY_S = 1.5
"""For one try, so that after a connection which died without a word there is time for another."""

LATER_ANSWERS_WITHIN_S = 15 * 60.0
"""How long Discord takes them for an interaction; counted from the call, as above."""

LATER_ANSWER_TRY_S = 15.0
"""For one try: an upload takes some seconds."""

DISCORD_RETRY_DELAY_S, LONGEST_DISCORD_RETRY_DELAY_S = 0.25, 15.0
"""Doubled each time in between: four tries in the three seconds, and four a minute in a long outage."""

# --- run -------------------------------------------------------------------------------------------------------------

RUN_CERTIFICATE_DAYS = 30
"""Longer than anyone leaves a bot running in a sandbox; the next run has another one."""

RELAY_CONNECT_TIMEOUT_S = 8.0
"""For the relay's answer before the start, and for each connection: libraries wait for longer."""

LIST_TIMEOUT_S = 10
"""For another Python's list of what is installed in it, on a machine that is busy."""

FIRST_LINE_BYTES = 256
"""What Linux itself reads of a script's `#!` line."""

NAME_TIMEOUT_S = 5
"""For a name server's answer: after that, programs ask again."""

CARRIED_PORTS = 64
"""Each is a socket that listens, and all of them are handed over in one message (the kernel takes 253)."""

CLIENT_HELLO_BYTES = 16384
"""The longest first record of a TLS client."""

CLIENT_HELLO_TIMEOUT_S = 10.0
CLIENT_HELLO_POLL_S = 0.01
"""Until it is all there. It mostly comes in one piece; what is only looked at stays readable, so there is no waking up
by the rest of it."""
