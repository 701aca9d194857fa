"""A message to JetStream as it goes over the wire. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox_worker.protocol import MESSAGE_ID_HEADER


def encode(
    subject: str,
    inbox: str,
    number: int,
    payload: bytes,
    message_id: str,
    headers: Mapping[str, str] | None,
    trace_header: str,
) -> bytes:
    """The acknowledgement goes to the inbox, with the number at its end. `trace_header` is the line of it."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) if headers else ""
    head = f"NATS/1.0\r\n{MESSAGE_ID_HEADER}: {message_id}\r\n{trace_header}{more}\r\n"
    size = len(head)
    return b"%b%b\r\n" % (
        f"HPUB {subject} {inbox}{number} {size} {size + len(payload)}\r\n{head}".encode(),
        payload,
    )


def encode_plain(subject: str, payload: bytes) -> bytes:
    """One that nobody acknowledges."""
    return b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(payload), payload)


def subject_of(frame: bytes) -> str:
    """Where an encoded message goes."""
    return frame.split(b" ", 2)[1].decode()


def size_of(frame: bytes) -> int:
    """What NATS compares with its limit: headers and payload."""
    return int(frame[: frame.index(b"\r\n")].rsplit(b" ", 1)[-1])
