"""psycopg2: many rows at once, a function with a trigger, a savepoint."""

import os

import psycopg2
from psycopg2.extras import Json, execute_values

connection = psycopg2.connect(os.environ["DATABASE_URL"])
with connection, connection.cursor() as cursor:
    body = "BEGIN NEW.name = upper(NEW.name); RETURN NEW; END"
    cursor.execute(f"CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
    cursor.execute("CREATE TRIGGER shouted BEFORE INSERT ON communities FOR EACH ROW EXECUTE FUNCTION shout()")
    rows = [(number, f"community {number}", Json({"number": number})) for number in range(100)]
    execute_values(cursor, "INSERT INTO communities (guild_id, name, settings) VALUES %s", rows)
    cursor.execute("SELECT setval(pg_get_serial_sequence('communities', 'id'), 1000)")
with connection, connection.cursor() as cursor:
    cursor.execute("SAVEPOINT before")
    try:
        cursor.execute("INSERT INTO communities (guild_id, name) VALUES (1, 'twice')")
    except psycopg2.errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT before")
    cursor.execute("INSERT INTO communities (guild_id, name) VALUES (1000, 'late') RETURNING id, name")
    assert cursor.fetchone() == (1002, "LATE")
connection.close()
print("rows are inserted past a trigger and a sequence of one's own")
