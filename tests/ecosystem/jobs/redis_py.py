"""redis-py: a name, a script, a lock, a scan, a stream, pub/sub and a transaction."""

import os

from redis import Redis

prefix = os.environ["SANDBOX_REDIS_PREFIX"]
redis = Redis.from_url(os.environ["REDIS_URL"], client_name="lab-bot", decode_responses=True)
assert redis.client_getname() == "lab-bot"
assert redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")(keys=["counter"], args=[5]) == 5
with redis.lock("daily", timeout=10, blocking_timeout=1) as lock:
    lock.reacquire()
    assert not redis.lock("daily", timeout=10).acquire(blocking=False)
redis.mset({f"member:{number}": number for number in range(100)})
assert len(set(redis.scan_iter("member:*", count=10))) == 100
redis.delete(*redis.keys("member:*"))
redis.xadd("log", {"line": "hello"})
redis.xgroup_create("log", "readers", id="0")
assert redis.xreadgroup("readers", "one", {"log": ">"})[0][1][0][1] == {"line": "hello"}
with redis.pubsub() as pubsub:
    pubsub.subscribe(f"{prefix}news")
    pubsub.get_message(timeout=5)
    redis.publish(f"{prefix}news", "hello")
    assert pubsub.get_message(timeout=5)["data"] == "hello"
with redis.pipeline() as pipe:
    pipe.watch("counter")
    pipe.multi()
    pipe.incr("counter")
    assert pipe.execute() == [6]
assert redis.info("server")["redis_version"]
assert sorted(redis.scan_iter()) == ["counter", "log"]
redis.flushdb()
assert redis.dbsize() == 0
print("a script, a lock, a scan, a stream and a channel are used")
