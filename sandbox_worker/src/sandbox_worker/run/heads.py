"""The heads of HTTP/1.1 requests, as far as a forwarder has to understand them. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Head(NamedTuple):
    """`length` is the body's in bytes, None if it comes in chunks."""

    raw: bytes
    length: int | None
    is_upgrade: bool


def read_head(raw: bytes, host: str) -> Head:
    """`raw` ends with its empty line, and comes back addressed to `host`. `ValueError` for what is no request."""
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if not first.rstrip().endswith((b"HTTP/1.1", b"HTTP/1.0")):
        raise ValueError("not HTTP/1.1")
    kept = [line for line in lines if _name(line) != b"host"]
    fields = {_name(line): line.partition(b":")[2].strip().lower() for line in lines}
    chunked = fields.get(b"transfer-encoding", b"").endswith(b"chunked")
    return Head(
        b"\r\n".join([first, b"Host: " + host.encode(), *kept, b"", b""]),
        None if chunked else int(fields.get(b"content-length", b"0")),
        fields.get(b"upgrade") == b"websocket",
    )


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()
