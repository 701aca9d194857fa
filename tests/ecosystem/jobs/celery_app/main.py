"""Celery: a task and one with a countdown, done by its command line's worker. Results come by a channel each."""

import os
import subprocess
import sys

if "--no-prefix" not in sys.argv:
    os.environ["RESULTS_PREFIX"] = os.environ["SANDBOX_REDIS_PREFIX"]

from tasks import add, app

worker = subprocess.Popen(["celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "WARNING"])
assert add.delay(2, 3).get(timeout=30) == 5
assert add.apply_async((4, 5), countdown=0.1).get(timeout=30) == 9
assert app.control.ping(timeout=2), "no worker answers"
worker.terminate()
worker.wait()
print("a task is queued and done, and its worker answers")
