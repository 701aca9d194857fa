"""A bot with its embedded stores, other processes that change the same sandboxes, and everything that breaks."""
