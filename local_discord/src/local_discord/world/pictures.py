"""How large a picture is, by the first bytes of its file."""

from __future__ import annotations

from struct import unpack_from

_PNG, _GIF, _JPEG = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), b"\xff\xd8\xff"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LONGEST_HEAD = 30


def size_of(content: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, GIF, JPEG or WebP; None for anything else."""
    head = content[:_LONGEST_HEAD].ljust(_LONGEST_HEAD, b"\0")
    if head.startswith(_PNG):
        return unpack_from(">II", head, 16)
    if head.startswith(_GIF):
        return unpack_from("<HH", head, 6)
    if head.startswith(_JPEG):
        return _of_jpeg(content)
    return _of_webp(head) if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _of_jpeg(content: bytes) -> tuple[int, int] | None:
    """From segment to segment: one of them may hold another, smaller picture."""
    at = 2
    while at + 9 <= len(content):
        marker, length = unpack_from(">xBH", content, at)
        if marker in _JPEG_FRAMES:
            height, width = unpack_from(">HH", content, at + 5)
            return width, height
        at += 2 + length
    return None


def _of_webp(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = unpack_from("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None
