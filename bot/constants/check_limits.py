"""`sandbox-bot check`: how long it waits, what it warns of, and what Discord limits."""

from __future__ import annotations

CHECK_POOL_SIZE = 4
"""Connections of `check` to PostgreSQL: it has a dozen questions, and leaves the slots to the bots."""
CHECK_HOST_WITHIN_S = 3.0
"""For each of several servers to say what it is, which `check` asks side by side: less than it has altogether."""
CHECK_CLOCKS_APART_S = 5.0
"""How far apart clocks may be before `check` warns: nobody reads the end of a sandbox off to the second."""
CHECK_MOST_ACK_TIMEOUT_S = 3
"""In a cluster of NATS `routing.ack_timeout` has to be less: a stream may have another leader after that time."""
CHECK_LEAST_DESCRIPTORS = 1024
"""File descriptors: the bot has some fifty, and one for each client of the relay and each request of theirs."""
CHECK_VERIFIABLE_FROM_GUILDS = 75
"""From so many servers on Discord takes an application for verification."""
CHECK_UNVERIFIED_GUILDS = 100
"""Discord lets nobody add an application that is not verified to more servers."""
CHECK_MOST_GUILDS_A_SHARD = 2500
"""Discord refuses a session that would have more servers."""
CHECK_MOST_COMMANDS = 100
"""Global slash commands that Discord takes of an application."""
CHECK_GUILDS = 25
"""Bound servers that `check` asks Discord about, with four requests each."""
CHECK_GUILDS_AT_A_TIME = 4
"""So that this takes fewer than the 50 requests a second that the application has, for a bot that runs needs some."""
CHECK_LEFTOVERS_WITHIN_S = 5.0
"""For a look through the stores, all keys of Redis's among them: millions take longer, and that is no fault."""
CHECK_NAMED = 5
"""Channels named in one finding."""
