"""Discord: commands, replies, direct messages."""

from __future__ import annotations

from datetime import timedelta

CHOICES = 25
"""Suggestions while an option is typed. Discord refuses more."""
FIELD_CHARS = 1000
"""Of a list in a field of an embed. Discord takes 1024, the rest is for the ellipsis."""
DESCRIPTION_CHARS = 4000
"""Of the audit log in an embed. Discord takes 4096 in the description, and 6000 in all."""
PROMISE_AFTER_S = 1.0
"""When an answer is promised that has not come: later than `OWN_MESSAGES_ANSWER_WITHIN_S`, which says how. Discord
waits for 3 s, and event and promise take their time. Most answers come sooner and need one request less."""
PROMISE_WITHIN_S = 2.0
"""For Discord to take the promise; later it is worth nothing."""
SUGGEST_WITHIN_S = 2.3
"""When nothing is suggested to whoever types: a little after `MANAGED_GUILD_TIMEOUT_S`, and before Discord's 3 s."""
WORK_WITHIN_S = 10.0
"""For all that an interaction needs; then the user is told which service does not answer. Two of Redis's and NATS's
own waits of 5 s; people lose patience then."""
ANSWER_TAKEN_WITHIN_S = 30.0
"""For one attempt: discord.py's own five tries, with pauses, at a Discord that answers 5xx."""
FIRST_ANSWER_TAKEN_WITHIN_S = 1.5
"""For the first attempt at a first answer, of which discord.py makes two tries. Then there is time for another one,
which finds out if the first was only slow."""
ANSWER_RETRY_S = 0.25
"""The first pause after an attempt that failed, doubled at each: four attempts in Discord's 3 s."""
ANSWER_RETRY_LONGEST_S = 15.0
"""The longest such pause: somebody waits, and four requests a minute are none to Discord."""
PROGRESS_WITHIN_S = 3.0
"""For what is shown until the outcome: the work waits for it, and can do without."""
INTERACTION_LASTS_S = 15 * 60.0
"""How long Discord takes answers to an interaction after the first one: an outage that is shorter costs none."""
CUSTOM_ID_CHARS = 100
"""Of a button's custom id. Discord takes no more."""
OWN_MESSAGE_TTL_S = 86_400
"""How long the buttons of a private answer change it in place. Afterwards they work too, and answer anew."""
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

GUILDS_INSPECTED_EVERY_S = 15.0
"""At most so often `sandbox status --watch` asks Discord about the same servers: stores may be asked every second, but
Discord allows 50 requests a second for all that the application does, and each look takes three for each server."""
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

DISCORD_SILENT_FOR_S = 30.0
"""How long Discord may leave requests without any answer, DNS and TLS included, before a start is given up with 69. A
supervisor that starts the bot again is told sooner than a person would notice; a router's restart is waited for."""
DISCORD_RETRY_S = 1.0
"""The first pause before Discord is asked again at a start, doubled at each failure."""
DISCORD_RETRY_LONGEST_S = 60.0
"""The longest such pause: an outage of Discord lasts minutes or hours, and ten thousand refused requests in ten minutes
have an address shut out."""

COMMANDS_BEFORE_CONNECT_S = 2.0
"""How long a start waits for the first look at the commands: who sees the bot come online finds them. No event is lost
meanwhile; what takes longer is done beside the routing."""
COMMANDS_CHECKED_EVERY_S = 120.0
"""Between two looks whether Discord still has our commands, one request each. A team's own bot that overwrites the
whole list at each of its starts costs two creations of the 200 a day, so that it may do so for hours."""
COMMANDS_CHECKED_AGAIN_AFTER_S = 10.0
"""Between two looks at least, however often a command of our name and an unknown id is used."""
COMMANDS_RETRY_S = 10.0
"""The first pause after Discord has refused a command, doubled at each refusal in a row."""
COMMANDS_RETRY_LONGEST_S = 900.0
"""The longest such pause: a daily limit lasts hours, and a definition that is refused is so until the next version."""
OWN_INTERACTION_ASKED_EVERY_S = 5.0
"""Between two such questions at least: a worker's button may look like ours without end."""
INTERACTIONS_REMEMBERED = 2_000
"""Interactions whose repeats are known without PostgreSQL, each for a number in memory. What this process has answered
comes again after a RESUME from before it, seconds later: nobody uses so many commands meanwhile."""
SHOWN_CREDENTIALS_ASKED_EVERY_S = 1.0
"""How often a repeat asks Discord whether the first run has shown its credentials by now."""
