"""What the command line prints of what others have written."""

import json

import pytest

from bot.cli.rendering import _table, show_json
from bot.cli.runtime import print_error, print_warning

STEERING = "\x1b[2J\x9b2J\x7f\x85\u202e\u2066\u2028\x00\ud800"


def is_quiet(written):
    return written.replace("\n", "").isprintable()


def test_json_is_the_same_and_steers_no_terminal(capsys):
    show_json({"name": STEERING, "metadata": {STEERING: [STEERING]}})
    written = capsys.readouterr().out
    assert is_quiet(written)
    assert json.loads(written) == {"name": STEERING, "metadata": {STEERING: [STEERING]}}


def test_neither_does_a_table(capsys):
    _table(("name", "id"), [(STEERING, "1")])
    assert is_quiet(capsys.readouterr().out)


@pytest.mark.parametrize("as_json", [False, True])
def test_nor_an_error_or_a_warning(capsys, as_json):
    print_error(STEERING, "X", as_json=as_json)
    print_warning(STEERING, as_json=as_json)
    assert is_quiet(capsys.readouterr().err)
