"""What the embedded NATS finds of its streams after a loss of power."""

import shutil
from contextlib import asynccontextmanager

import nats
import pytest

from bot.stores.embedded import EmbeddedStores


@asynccontextmanager
async def jetstream_on(folder):
    async with EmbeddedStores(folder, stores=frozenset({"nats"})) as stores:
        client = await nats.connect(stores.nats_url)
        yield client.jetstream()
        await client.close()


@pytest.mark.parametrize("not_written", [0, 7, 8, 800])
async def test_a_stream_that_was_empty_has_what_it_was_given_before_power_went(tmp_path, not_written):
    """The index is from before, and the file that the disk has been given ends in NULs."""
    async with jetstream_on(tmp_path / "before") as jetstream:
        await jetstream.add_stream(name="S", subjects=["s"])
    async with jetstream_on(tmp_path / "before") as jetstream:
        for number in range(3):
            await jetstream.publish("s", str(number).encode())
        shutil.copytree(tmp_path / "before", tmp_path / "after", ignore=shutil.ignore_patterns("lock", "*.sock"))
    (block,) = (tmp_path / "after").glob("nats/jetstream/*/streams/S/msgs/*.blk")
    with block.open("ab") as file:
        file.write(bytes(not_written))
    async with jetstream_on(tmp_path / "after") as jetstream:
        await jetstream.publish("s", b"3")
        state = (await jetstream.stream_info("S")).state
        assert (state.messages, state.last_seq) == (4, 4)
        assert [(await jetstream.get_msg("S", number + 1)).data for number in range(4)] == [b"0", b"1", b"2", b"3"]
