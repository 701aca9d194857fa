"""Answers a namespace's questions for names: Discord's itself, all others by the name server that was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from sandbox_worker import constants
from sandbox_worker.run.names import is_discord

ADDRESS = "198.18.83.66"
"""Of every name of Discord's, in there: of a range that nobody on the net has (RFC 2544)."""

_IP_PKTINFO = 8
_A, _IN = 1, 1
_ANSWERED, _POINTER_TO_QUESTION = 0x8180, 0xC00C


def answer(question: bytes) -> bytes | None:
    """None for a question that is not about Discord. Of the kinds of records there is an IPv4 address alone: others
    would lead past the forwarder."""
    labels, place = [], 12
    while (length := question[place]) and length < 64:
        labels.append(question[place + 1 : place + 1 + length].decode("ascii", "replace"))
        place += 1 + length
    if not is_discord(".".join(labels)):
        return None
    kind, _ = struct.unpack_from(">HH", question, place + 1)
    asked = question[12 : place + 5]
    found = b""
    if kind == _A:
        found = struct.pack(">HHHIH", _POINTER_TO_QUESTION, _A, _IN, 60, 4) + socket.inet_aton(ADDRESS)
    return question[:2] + struct.pack(">HHHHH", _ANSWERED, 1, bool(found), 0, 0) + asked + found


class NameServer:
    """Answers what comes to a socket that tells whom each question was meant for, until it is closed."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._answering: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        asyncio.get_running_loop().add_reader(listening, self._receive)

    def close(self) -> None:
        """No more answers."""
        asyncio.get_running_loop().remove_reader(self._listening)
        for task in self._answering:
            task.cancel()
        self._listening.close()

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            question, told, _, asker = self._listening.recvmsg(4096, 64)
            for _, kind, data in told:
                if kind == _IP_PKTINFO:
                    self._answer_soon(question, data[8:12], asker)

    def _answer_soon(self, question: bytes, server: bytes, asker: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(question, server, asker))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, question: bytes, server: bytes, asker: tuple[str, int]) -> None:
        with suppress(OSError, IndexError, struct.error):  # no answer, or no question: it will ask again
            found = answer(question) or await _ask(question, socket.inet_ntoa(server))
            from_server = (socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=I4s4s", 0, server, server))
            self._listening.sendmsg([found], [from_server], 0, asker)


async def _ask(question: bytes, server: str) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect((server, 53))
        async with asyncio.timeout(constants.NAME_TIMEOUT_S):
            await loop.sock_sendall(asking, question)
            return await loop.sock_recv(asking, 65535)
