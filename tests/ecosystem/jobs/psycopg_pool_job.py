"""psycopg 3: a pool, COPY into a temporary table, and what a migration does to the tables that are there."""

import os

from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool

with ConnectionPool(os.environ["DATABASE_URL"], min_size=4, kwargs={"row_factory": namedtuple_row}) as pool:
    with pool.connection() as connection, connection.pipeline():
        connection.execute("ALTER TABLE communities ADD COLUMN theme text DEFAULT 'dark'")
        connection.execute("CREATE INDEX communities_theme ON communities (theme)")
        connection.execute("COMMENT ON TABLE badges IS 'what a member has earned'")
        connection.execute("TRUNCATE badges, profiles")
    with pool.connection() as connection:
        connection.execute("CREATE TEMP TABLE staging (LIKE communities INCLUDING DEFAULTS) ON COMMIT DROP")
        connection.execute("ALTER TABLE staging DROP COLUMN id")
        with connection.cursor().copy("COPY staging (guild_id, name) FROM STDIN") as copy:
            for number in range(1000):
                copy.write_row((number, f"community {number}"))
        connection.execute("INSERT INTO communities (guild_id, name) SELECT guild_id, name FROM staging")
    with pool.connection() as connection:
        found = connection.execute("SELECT count(*) AS number, min(theme) AS theme FROM communities").fetchone()
assert (found.number, found.theme) == (1000, "dark"), found
print("a table of the template is altered, and 1000 rows are copied into it")
