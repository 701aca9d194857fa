"""RQ: a job is queued, and a worker does it."""

import os
from datetime import timedelta

from redis import Redis
from rq import Queue, Worker
from tasks import add

redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue("mails", connection=redis)
job = queue.enqueue(add, 2, 3)
later = queue.enqueue_in(timedelta(milliseconds=1), add, 4, 5)
Worker([queue], connection=redis).work(burst=True, with_scheduler=True)
assert job.return_value() == 5, job.get_status(refresh=True)
print("a job is queued and done")
