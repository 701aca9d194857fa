import os

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

url = os.environ["REDIS_URL"]
broker = RedisStreamBroker(url).with_result_backend(RedisAsyncResultBackend(url))


@broker.task
async def add(one: int, other: int) -> int:
    return one + other
