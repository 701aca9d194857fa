"""asyncpg: its pool as it is by default, of ten connections, with COPY, LISTEN and a prepared statement."""

import asyncio
import os

import asyncpg


async def main():
    async with asyncpg.create_pool(os.environ["DATABASE_URL"]) as pool:
        await pool.execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
        await pool.execute("CREATE TABLE feelings (id int PRIMARY KEY, mood mood NOT NULL)")
        records = [(number, "glad" if number % 2 else "sad") for number in range(1000)]
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("CREATE TEMP TABLE staging (LIKE feelings) ON COMMIT DROP")
            await connection.copy_records_to_table("staging", records=records)
            await connection.execute("INSERT INTO feelings SELECT * FROM staging ON CONFLICT DO NOTHING")
        query = "SELECT count(*) FROM feelings WHERE mood = $1"
        counts = await asyncio.gather(*(pool.fetchval(query, mood) for mood in ("glad", "sad") * 20))
        assert set(counts) == {500}, counts
        await pool.execute("DROP TABLE feelings")
        await pool.execute("DROP TYPE mood")


asyncio.run(main())
print("a pool of ten copies 1000 rows and reads them")
