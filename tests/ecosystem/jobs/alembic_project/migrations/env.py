import os

from alembic import context
from models import Base
from sqlalchemy import create_engine, make_url, pool

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")

with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
