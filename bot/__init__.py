"""Discord server sandboxes: a bot that gives each developer a slice of the shared infrastructure."""
