"""The relay: per sandbox a Discord-compatible gateway and HTTP API, for any bot in any library, unmodified."""
