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

# --- Data plane: from the gateway into JetStream ---------------------------------------------------------------------

ROUTES_RESTART_FIRST_S = 0.2
ROUTES_RESTART_LONGEST_S = 2.0
"""The pauses before PostgreSQL is asked for routes again: shorter than of other parts, for a sandbox that was destroyed
meanwhile still gets events until then."""

# --- Control plane: how sandboxes begin, are kept and end ------------------------------------------------------------

# --- Discord: commands, replies, direct messages ---------------------------------------------------------------------
