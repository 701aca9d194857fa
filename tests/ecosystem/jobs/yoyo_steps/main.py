"""yoyo: steps up and down again."""

import os

from yoyo import get_backend, read_migrations

backend = get_backend(os.environ["DATABASE_URL"])
migrations = read_migrations("steps")
with backend.lock():
    backend.apply_migrations(backend.to_apply(migrations))
assert not backend.to_apply(migrations)
with backend.lock():
    backend.rollback_migrations(backend.to_rollback(migrations))
assert len(backend.to_apply(migrations)) == 2
print("two steps go up and down")
