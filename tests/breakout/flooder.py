"""A worker that floods NATS, as a process of its own: nice 19, half a core, and it ends by itself.

`python -m tests.breakout.flooder KIND SECONDS PORT`, and on standard input as JSON what a developer knows: `id`, `hex`,
`stream`, `token`. It prints when it begins, and at last how much it has sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from contextlib import suppress

_SHARE = 0.5
_CHUNK = 65536
_DIALLERS = 32


class Pace:
    """Keeps the process to its share of a core, until the time is over."""

    def __init__(self, seconds):
        self._began, self._seconds = time.monotonic(), seconds

    @property
    def goes_on(self):
        return time.monotonic() - self._began < self._seconds

    async def keep(self):
        ahead = time.process_time() / _SHARE - (time.monotonic() - self._began)
        await asyncio.sleep(max(0, ahead))


class Flooder:
    def __init__(self, port, known, pace):
        self._port, self._known, self._pace = port, known, pace
        self._readers_of = {}
        self.sent = 0

    async def burn(self):
        """What the floods are compared with."""
        while self._pace.goes_on:
            until = time.process_time() + 0.01
            while time.process_time() < until:
                self.sent += 1
            await self._pace.keep()

    async def publish(self, line):
        """As much as the server takes of one message, and again when it has hung up."""
        lines = line.format(**self._known, inbox=f"_INBOX_{self._known['hex']}.x").encode().replace(b"|", b"\r\n")
        chunk = lines * (_CHUNK // len(lines))
        while self._pace.goes_on:
            with suppress(OSError):
                writer = await self._log_in(self._known["id"], self._known["token"])
                while self._pace.goes_on and not writer.is_closing():
                    writer.write(chunk)
                    async with asyncio.timeout(1):
                        await writer.drain()
                    self.sent += len(chunk) // len(lines)
                    await self._pace.keep()
                writer.close()
            await asyncio.sleep(0.05)

    async def log_in(self, user, token):
        """Many times at once; the refusal is not waited for longer than the server takes."""

        async def dial():
            while self._pace.goes_on:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(3):
                        writer = await self._log_in(user or str(uuid.uuid4()), token or str(uuid.uuid4()))
                        await self._readers_of[writer]
                        writer.close()
                self.sent += 1
                await self._pace.keep()

        await asyncio.gather(*(dial() for _ in range(_DIALLERS)))

    async def _log_in(self, user, token):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        login = {"verbose": False, "headers": True, "no_responders": True, "user": user, "pass": token}
        writer.write(b"CONNECT " + json.dumps(login).encode() + b"\r\nPING\r\n")
        await writer.drain()
        self._readers_of[writer] = task = asyncio.create_task(self._read(reader, writer))
        task.add_done_callback(lambda _: self._readers_of.pop(writer, None))
        return writer

    async def _read(self, reader, writer):
        with suppress(OSError):
            while await reader.read(_CHUNK):
                pass
        writer.close()


async def main(kind, seconds, port):
    known = json.loads(sys.stdin.readline())
    print("begins", flush=True)  # noqa: T201
    flooder = Flooder(int(port), known, Pace(float(seconds)))
    if kind == "burner":
        await flooder.burn()
    elif kind == "wrong logins":
        await flooder.log_in(None, None)
    elif kind == "wrong tokens":
        await flooder.log_in(known["id"], None)
    elif kind == "right logins":
        await flooder.log_in(known["id"], known["token"])
    else:
        await flooder.publish(kind)
    print(flooder.sent)  # noqa: T201


if __name__ == "__main__":
    os.nice(19)
    asyncio.run(main(*sys.argv[1:]))
