"""What people do in Discord's client, and what the client does not let them do."""
