"""Sessions of PostgreSQL's that end."""

from __future__ import annotations

import asyncpg

ENDED = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises in a session that the server has ended: it depends on how far the two of them had come."""
