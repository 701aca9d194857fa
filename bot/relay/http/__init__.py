"""The relay's HTTP API: every operation of Discord's list allowed or refused on purpose."""
