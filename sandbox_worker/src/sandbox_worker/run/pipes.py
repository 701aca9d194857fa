"""Bytes from one connection to another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

_PIECE = 65536

BREAKS = (OSError, EOFError, asyncio.LimitOverrunError, ValueError)
"""How a connection ends that does not simply end."""


async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until there is no more, which is passed on too."""
    while piece := await source.read(_PIECE):
        sink.write(piece)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
    else:
        sink.close()


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, count: int) -> None:
    """So many bytes; `EOFError` if there are fewer."""
    while count:
        piece = await source.read(min(count, _PIECE))
        if not piece:
            raise EOFError
        count -= len(piece)
        sink.write(piece)
        await sink.drain()


async def both(there: Awaitable[None], back: Awaitable[None], *writers: asyncio.StreamWriter) -> None:
    """Runs the two directions until both are through or one breaks; then all of it is closed."""
    tasks = [asyncio.ensure_future(there), asyncio.ensure_future(back)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Whatever state it is in."""
    writer.close()
    with suppress(*BREAKS):
        await writer.wait_closed()
