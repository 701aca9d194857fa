"""The relay's gateway: events from a sandbox's stream, as Discord's own gateway would send them."""
