"""RQ: a worker is told to end, by a channel."""

import os

from redis import Redis
from rq.command import send_shutdown_command

send_shutdown_command(Redis.from_url(os.environ["REDIS_URL"]), "a worker")
print("a worker is told to end")
