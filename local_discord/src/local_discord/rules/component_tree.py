"""The components of a message or a modal, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import count

from local_discord.wire import Json

ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17
LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23
SELECTS = (STRING_SELECT, 5, 6, 7, 8)
LINK_STYLES = (5, 6)
"""Buttons that lead elsewhere instead of telling the bot: a link, and a thing for sale."""


def walk(components: Sequence[Json]) -> Iterator[Json]:
    """Every component, however deep it is nested."""
    for component in components:
        if isinstance(component, dict):
            yield component
            nested = component.get("components")
            yield from walk(nested if isinstance(nested, list) else ())
            yield from walk([component[key] for key in ("accessory", "component") if component.get(key)])


def numbered(components: list[Json]) -> list[Json]:
    """A copy in which each component has an id, counted from 1 around those that have one, and nothing is null."""
    copied: list[Json] = deepcopy(components)
    found = list(walk(copied))
    taken = {component["id"] for component in found if component.get("id")}
    free = (number for number in count(1) if number not in taken)
    for component in found:
        component["id"] = component.get("id") or next(free)
        for part in (component, *(component.get("options") or ())):
            for key in [key for key, value in part.items() if value is None]:
                del part[key]
    return copied
