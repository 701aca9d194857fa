"""Every fixed wait, limit and patience of the bot that is no setting, each with its reason.

What an operator should change stands in config.toml instead. Seconds end in `_S`; counts say of what. Read them as
`constants.NAME` when they are used, so that a test can change one.
"""

from __future__ import annotations

# --- Processes: start, stop, restart ---------------------------------------------------------------------------------

# --- Stores: PostgreSQL, Valkey or Redis, NATS, and the embedded ones ------------------------------------------------

# --- Data plane: from the gateway into JetStream ---------------------------------------------------------------------

# --- Control plane: how sandboxes begin, are kept and end ------------------------------------------------------------

# --- Discord: commands, replies, direct messages ---------------------------------------------------------------------
