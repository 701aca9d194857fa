"""After PostgreSQL was restored from a backup: noticed, held, compared and settled."""
