"""`docs/errors.md` has every error code and exit code that there is, with what to do."""

from __future__ import annotations

import re

import pytest

from tools import mends
from tools.errors_table import PAGE, Unexplained, page


def test_the_page_is_as_the_code_says():
    assert PAGE.read_text() == page(), "python -m tools.errors_table writes it anew"


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("OF_BOT", "NameTaken"),
        ("OF_WORKER", "SandboxEnded"),
        ("EXITS", 69),
        ("RELAY_ANSWERS", (403, 50001)),
        ("RELAY_CLOSES", 4004),
    ],
)
def test_nothing_is_left_without_a_word(monkeypatch, table, key):
    monkeypatch.delitem(getattr(mends, table), key)
    with pytest.raises(Unexplained, match=re.escape(str(key))):
        page()
