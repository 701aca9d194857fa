"""Processes: start, stop, restart."""

from __future__ import annotations

from datetime import timedelta

RESTART_FIRST_S = 0.5
"""The pause before a part that failed is started again: short enough that nobody notices a single failure."""
RESTART_LONGEST_S = 5.0
"""The longest such pause, so that everything runs within five seconds of a store's return."""
RESTARTS_COUNTED_FOR = timedelta(minutes=5)
"""Restarts are counted over this time where a part may fail only so often."""
GUARDIAN_RESTARTS = 3
"""How often the guardian of the embedded servers is started again in that time; then the process ends with 69."""
GUARDIAN_RESTART_S = 0.1
"""The pause before that; it is waited for that the servers of before are gone in any case."""

STOP_WITHIN_S = 4.5
"""Over everything that is done to stop, whatever is away: container engines and systemd kill after ten seconds, people
lose patience after five. What then has not ended is cut off."""
PARTS_END_WITHIN_S = 1.0
"""How long parts may take to obey their cancellation before the stop goes on without them."""
ANSWERS_END_WITHIN_S = 1.5
"""How long answers to commands that are under way are waited for at a stop."""
DRAIN_WITHIN_S = 2.0
"""How long acknowledgements are waited for at a stop; what has none is received again at the next start."""
CLOSE_WITHIN_S = 0.5
"""How long a connection may take to say goodbye before it is cut off, and loses nothing: one slow round trip."""
CANCEL_AGAIN_AFTER_S = 0.05
"""The pause between two cancellations of a task that has swallowed one."""
CANCEL_WITHIN_S = 0.2
"""How long a step that was broken off may take to obey before it is left behind."""

CENSUS_EVERY_S = 10.0
"""How often sandboxes and notices are counted for metrics: not slower than they are scraped."""
CENSUS_HOLDS_S = 30.0
"""How long such a count is shown: without PostgreSQL metrics say nothing rather than what was."""
METRICS_HOLD_S = 1.0
"""How long a scrape is told again to whoever asks: less than Prometheus pauses, and one takes milliseconds."""
HEALTH_LOOKED_AT_EVERY_S = 0.75
"""The pause between two questions to a store. With `HEALTH_ANSWER_WITHIN_S` it is less than the five seconds in which
trouble, and its end, is to be told."""
HEALTH_TOLD_WITHIN_S = 3.0
"""For a bot to say whether it is ready. It knows that already: one that takes longer stands still."""
HEALTH_CHANGE_BYTES = 4096
"""Of what is written in Redis and NATS: less would fit into the last page of a file on a disk that is full."""
HEALTH_KEY_KEPT_S = 60
"""What is written to see whether Redis takes it."""
HEALTH_STREAM_BYTES = 1 << 16
"""Of the stream that shows whether JetStream acknowledges, where the account wants all of them limited."""
HEALTH_BODY_BYTES = 1024
"""Nobody has anything to say in a question after the bot's health."""
HEALTH_CONNECTIONS = 100
"""Of all who ask at a time: more than watch a bot, and a tenth of what a process may open at the least."""
HEALTH_IDLE_CONNECTION_S = 75.0
"""How long one may ask nothing: longer than Prometheus's pauses, which then needs no new one each time."""
