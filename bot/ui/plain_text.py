"""Text that somebody else has written, for people's screens."""

from __future__ import annotations

from discord.utils import escape_markdown

_KEPT = "\n\u200c\u200d"
"""Lines, and what joins or parts letters and emoji; all else that does not print could hide or turn round what does."""


def as_written(text: str) -> str:
    """Nothing in it is formatted by Discord, and no character acts on others: U+FFFD stands for those."""
    shown = "".join(each if each.isprintable() or each in _KEPT else "\N{REPLACEMENT CHARACTER}" for each in text)
    return escape_markdown(shown)
