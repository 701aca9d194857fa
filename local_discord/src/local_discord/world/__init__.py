"""What this Discord knows, and what changes it: users, guilds, channels, messages, commands and interactions."""
