"""Frames and numbers of the relay's gateway."""

from __future__ import annotations

import json
import zlib

import pytest
import zstandard

from bot.relay.gateway.frames import encoder
from bot.relay.gateway.numbering import Numbering, numbered

MESSAGES = [b"{}", b'{"x":"' + b"a" * 200 + b'"}', b'{"x":"' + b"b" * 70_000 + b'"}']


def encode(method, messages):
    chosen = encoder(method)
    assert chosen is not None
    return chosen(messages)


def payloads(data, kind):
    found = []
    while data:
        assert data[0] == kind
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10]), 10
        found.append(data[start : start + size])
        data = data[start + size :]
    return found


def test_messages_of_every_length_are_whole_text_frames():
    assert payloads(encode(None, MESSAGES), 0x81) == MESSAGES


def test_zlib_is_one_stream_that_is_flushed_after_each_message():
    parts = payloads(encode("zlib-stream", MESSAGES), 0x82)
    assert all(part.endswith(b"\x00\x00\xff\xff") for part in parts)
    stream = zlib.decompressobj()
    assert [stream.decompress(part) for part in parts] == MESSAGES


def test_zstd_is_one_stream_that_is_flushed_after_each_message():
    stream = zstandard.ZstdDecompressor().decompressobj()
    assert [stream.decompress(part) for part in payloads(encode("zstd-stream", MESSAGES), 0x82)] == MESSAGES


def test_another_compression_is_none():
    assert encoder("gzip") is None


def test_an_event_gets_another_number_and_stays_as_it_came():
    payload = b'{"t":"MESSAGE_CREATE","s":17,"op":0,"d":{"content":"\\"s\\":17"}}'
    message = numbered(b"MESSAGE_CREATE", payload, 4711)
    assert json.loads(message) == {**json.loads(payload), "s": 4711}
    assert numbered(b"MESSAGE_CREATE", b'{"op": 0}', 1) is None


@pytest.mark.parametrize("stream_sequence", [101, 102, 5000])
def test_a_number_leads_back_to_the_stream(stream_sequence):
    numbering = Numbering(base=100, offset=3, mark=100)
    assert numbering.stream_sequence(numbering.number(stream_sequence)) == stream_sequence


def test_a_client_that_has_not_got_all_of_its_beginning_has_no_place_in_the_stream():
    assert Numbering(base=100, offset=3, mark=100).stream_sequence(2) is None
    assert Numbering(base=100, offset=3, mark=100).stream_sequence(3) == 100
