"""SQLAlchemy: the same models, by asyncpg and by psycopg."""

import asyncio
import os

from sqlalchemy import ForeignKey, MetaData, Table, create_engine, make_url, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

url = make_url(os.environ["DATABASE_URL"])


class Base(DeclarativeBase):
    metadata = MetaData()


with create_engine(url.set(drivername="postgresql+psycopg")).connect() as connection:
    communities = Table("communities", Base.metadata, autoload_with=connection)


class Season(Base):
    __tablename__ = "seasons"

    id: Mapped[int] = mapped_column(primary_key=True)
    community_id: Mapped[int] = mapped_column(ForeignKey("communities.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(unique=True)


async def by_asyncpg():
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with async_sessionmaker(engine).begin() as session:
        made = insert(communities).values(guild_id=1, name="Lab").returning(communities.c.id)
        session.add(Season(community_id=await session.scalar(made), name="spring"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TEMPORARY TABLE staging (name text) ON COMMIT DROP"))
        await connection.execute(text("INSERT INTO staging VALUES (:name)"), [{"name": "summer"}, {"name": "spring"}])
        await connection.execute(
            text(
                "INSERT INTO seasons (community_id, name) SELECT communities.id, staging.name FROM communities, staging"
                " ON CONFLICT (name) DO UPDATE SET name = upper(excluded.name)"
            )
        )
    await engine.dispose()


def by_psycopg():
    engine = create_engine(url.set(drivername="postgresql+psycopg"))
    with Session(engine) as session:
        names = session.scalars(select(Season.name).order_by(Season.name)).all()
        assert sorted(names) == ["SPRING", "summer"], names
        session.execute(communities.delete())
        session.commit()
        assert not session.scalars(select(Season)).all()
    Base.metadata.drop_all(engine, tables=[Season.__table__])


asyncio.run(by_asyncpg())
by_psycopg()
print("tables with a foreign key are made, filled by way of a temporary one, read and dropped")
