"""What commands do where what they print finds no room."""

import json
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bot import cli

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux's")
@pytest.mark.parametrize("as_json", [False, True])
def test_output_without_room_is_one_line_and_no_traceback(capsys, monkeypatch, tmp_path, as_json):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOT_SANDBOXES__GRADE", "1h")  # so that it has nothing to ask
    monkeypatch.setattr(sys, "argv", ["sandbox-bot", *(("check", "--json") if as_json else ("nats-seed",))])
    full = FULL.open("w")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    with suppress(OSError):  # what it still holds
        full.close()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.count("\n") == 1
    told = json.loads(said)["error"]["message"] if as_json else said.removeprefix("sandbox-bot: ").strip()
    assert told == "the output: No space left on device"
