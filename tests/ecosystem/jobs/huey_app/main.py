"""huey: a task is queued, another one scheduled, and its consumer does both."""

import subprocess

from tasks import add, huey

consumer = subprocess.Popen(["huey_consumer", "tasks.huey", "-s", "1"])
result, later = add(2, 3), add.schedule(args=(4, 5), delay=1)
assert result.get(blocking=True, timeout=20) == 5
assert later.get(blocking=True, timeout=20) == 9
with huey.lock_task("once"):
    assert huey.is_locked("once")
consumer.terminate()
consumer.wait()
print("a task is queued and done")
