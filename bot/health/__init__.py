"""Whether the bot is ready, told by HTTP on a port of its own."""
