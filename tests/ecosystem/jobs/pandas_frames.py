"""pandas: frames into tables, also by way of a temporary one, and back."""

import os

import pandas
from sqlalchemy import create_engine, text

engine = create_engine(os.environ["DATABASE_URL"])
frame = pandas.DataFrame({"guild_id": range(100), "name": [f"community {number}" for number in range(100)]})
frame.to_sql("imported", engine, index=False)
frame.to_sql("imported", engine, index=False, if_exists="replace", method="multi")
frame.head(10).to_sql("imported", engine, index=False, if_exists="append")
with engine.begin() as connection:
    connection.execute(text("CREATE TEMPORARY TABLE staging (guild_id bigint, name text)"))
    frame.to_sql("staging", connection, index=False, if_exists="append")
    connection.execute(text("INSERT INTO communities (guild_id, name) SELECT guild_id, name FROM staging"))
assert len(pandas.read_sql("SELECT * FROM communities", engine)) == 100
assert len(pandas.read_sql_table("imported", engine)) == 110
print("a frame is written, replaced, appended to, staged and read")
