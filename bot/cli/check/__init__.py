"""`sandbox-bot check`: whether the bot could run here and how well, found out by changing nothing."""
