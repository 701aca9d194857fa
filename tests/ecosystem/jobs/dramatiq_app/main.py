"""dramatiq: a message is sent, and its command line's worker answers."""

import subprocess

from tasks import add

worker = subprocess.Popen(["dramatiq", "tasks", "--processes", "1", "--threads", "1"])
message, later = add.send(2, 3), add.send_with_options(args=(4, 5), delay=100)
assert message.get_result(block=True, timeout=20_000) == 5
assert later.get_result(block=True, timeout=20_000) == 9
worker.terminate()
worker.wait()
print("a message is sent and answered")
