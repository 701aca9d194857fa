"""pgvector: the nearest of some embeddings, by the extension that the operator has installed."""

import os
import sys

import psycopg
from pgvector.psycopg import register_vector

search_path = f"-csearch_path={os.environ['SANDBOX_SCHEMA']},extensions"
with psycopg.connect(os.environ["DATABASE_URL"], options=search_path, autocommit=True) as connection:
    if "--create-extension" in sys.argv:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    connection.execute("CREATE TABLE memories (id int PRIMARY KEY, embedding vector(3))")
    connection.execute("INSERT INTO memories VALUES (1, '[1,0,0]'), (2, '[0,1,0]'), (3, '[0,0,1]')")
    connection.execute("CREATE INDEX ON memories USING hnsw (embedding vector_l2_ops)")
    nearest = connection.execute("SELECT id FROM memories ORDER BY embedding <-> '[0,0.9,0.1]' LIMIT 1").fetchone()
assert nearest == (2,), nearest
print("the nearest of three embeddings is found")
