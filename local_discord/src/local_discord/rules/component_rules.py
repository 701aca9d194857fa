"""What Discord accepts as the components of a message and of a modal, kind by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_discord.errors import FormErrors, Path
from local_discord.rules import component_tree as tree
from local_discord.rules.component_tree import SELECTS, walk
from local_discord.rules.fields import (
    Read,
    Unreadable,
    address,
    boolean,
    choice,
    dictionary,
    each,
    form,
    integer,
    optional,
    snowflake,
    text,
)
from local_discord.wire import Json, objects

_MOST_IN_LAYOUT, _MOST_TEXT = 40, 4000
_MOST_ROWS = 5
ATTACHMENT = "attachment://"
"""Before the name of a file that comes with the message."""
_LINK, _PREMIUM = 5, 6
_ID = {"id": optional(integer(0, 1 << 31))}
_CUSTOM_ID = {"custom_id": text(100, 1)}
_MEDIA = form({"url": address("http", "https", "attachment", least=1)}, "url")
_DESCRIPTION = {"description": optional(text(1024, 1)), "spoiler": optional(boolean)}
_OPTION = form(
    {
        "label": text(100, 1),
        "value": text(100, 1),
        "description": optional(text(100)),
        "emoji": optional(dictionary),
        "default": optional(boolean),
    },
    "label",
    "value",
)


@dataclass(frozen=True)
class _Children:
    """The kinds that stand under one key, and how many; `most` 0 is one alone, which is no list."""

    kinds: tuple[int, ...]
    most: int = 0


@dataclass(frozen=True)
class _Kind:
    """What a component of one kind holds."""

    fields: Mapping[str, Read] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    children: Mapping[str, _Children] = field(default_factory=dict)


def _chosen(most: int) -> dict[str, Read]:
    return {
        "min_values": optional(integer(0, most)),
        "max_values": optional(integer(1, most)),
        "required": optional(boolean),
    }


_SELECT = {
    **_CUSTOM_ID,
    **_chosen(25),
    "placeholder": optional(text(150)),
    "disabled": optional(boolean),
    "default_values": optional(each(form({"id": snowflake}, "id", "type"), 25)),
    "channel_types": optional(each(integer(0, 100), 25)),
}
_BUTTON_OR_SELECT = (tree.BUTTON, *SELECTS)
_IN_CONTAINER = (tree.ROW, tree.SECTION, tree.TEXT_DISPLAY, tree.GALLERY, tree.FILE, tree.SEPARATOR)
_IN_LABEL = (*SELECTS, tree.TEXT_INPUT, tree.FILE_UPLOAD, tree.RADIO_GROUP, tree.CHECKBOX_GROUP, tree.CHECKBOX)
_OF_MESSAGES: Mapping[int, _Kind] = {
    tree.ROW: _Kind(children={"components": _Children(_BUTTON_OR_SELECT, 5)}),
    tree.BUTTON: _Kind(
        {
            "style": choice(*range(1, 7)),
            "label": optional(text(80)),
            "custom_id": optional(text(100, 1)),
            "url": optional(address("http", "https", "discord", most=512)),
            "disabled": optional(boolean),
            "emoji": optional(dictionary),
            "sku_id": optional(snowflake),
        },
        ("style",),
    ),
    tree.STRING_SELECT: _Kind(_SELECT | {"options": each(_OPTION, 25, 1)}, ("custom_id", "options")),
    **{kind: _Kind(_SELECT, ("custom_id",)) for kind in SELECTS if kind != tree.STRING_SELECT},
    tree.SECTION: _Kind(
        children={
            "components": _Children((tree.TEXT_DISPLAY,), 3),
            "accessory": _Children((tree.BUTTON, tree.THUMBNAIL)),
        }
    ),
    tree.TEXT_DISPLAY: _Kind({"content": text(_MOST_TEXT, 1)}, ("content",)),
    tree.THUMBNAIL: _Kind({"media": _MEDIA, **_DESCRIPTION}, ("media",)),
    tree.GALLERY: _Kind({"items": each(form({"media": _MEDIA, **_DESCRIPTION}, "media"), 10, 1)}, ("items",)),
    tree.FILE: _Kind({"file": _MEDIA, "spoiler": optional(boolean)}, ("file",)),
    tree.SEPARATOR: _Kind({"divider": optional(boolean), "spacing": optional(choice(1, 2))}),
    tree.CONTAINER: _Kind(
        {"accent_color": optional(integer(0, 0xFFFFFF)), "spoiler": optional(boolean)},
        children={"components": _Children(_IN_CONTAINER, _MOST_IN_LAYOUT)},
    ),
}
_OF_MODALS: Mapping[int, _Kind] = {
    **_OF_MESSAGES,
    tree.ROW: _Kind(children={"components": _Children((tree.TEXT_INPUT,), 1)}),
    tree.LABEL: _Kind(
        {"label": text(45, 1), "description": optional(text(100, 1))},
        ("label",),
        {"component": _Children(_IN_LABEL)},
    ),
    tree.TEXT_INPUT: _Kind(
        {
            **_CUSTOM_ID,
            "style": choice(1, 2),
            "label": optional(text(45, 1)),
            "value": optional(text(4000)),
            "placeholder": optional(text(100)),
            "required": optional(boolean),
            "min_length": optional(integer(0, 4000)),
            "max_length": optional(integer(1, 4000)),
        },
        ("custom_id", "style"),
    ),
    tree.FILE_UPLOAD: _Kind(_CUSTOM_ID | _chosen(10), ("custom_id",)),
    tree.RADIO_GROUP: _Kind(
        {**_CUSTOM_ID, "required": optional(boolean), "options": each(_OPTION, 10, 2)}, ("custom_id", "options")
    ),
    tree.CHECKBOX_GROUP: _Kind(
        {**_CUSTOM_ID, **_chosen(10), "options": each(_OPTION, 10, 1)}, ("custom_id", "options")
    ),
    tree.CHECKBOX: _Kind({**_CUSTOM_ID, "default": optional(boolean)}, ("custom_id",)),
}
_MODAL_TOP = (tree.ROW, tree.TEXT_DISPLAY, tree.LABEL)


def check_components(errors: FormErrors, components: Any, *, layout: bool) -> None:
    """Those of a message; in a layout they stand anywhere, else in rows alone."""
    path: Path = ("components",)
    kinds = (*_IN_CONTAINER, tree.CONTAINER) if layout else (tree.ROW,)
    if not _is_list(errors, path, components, 1 << 16 if layout else _MOST_ROWS):
        return
    _check_list(errors, path, components, kinds, _OF_MESSAGES)
    found = list(walk(components))
    if layout:
        errors.check_count(path, found, _MOST_IN_LAYOUT)
        texts = [one["content"] for one in found if isinstance(one.get("content"), str)]
        errors.require(sum(map(len, texts)) <= _MOST_TEXT, path, f"All texts together have {_MOST_TEXT} characters.")
    _check_ids(errors, path, found)


def check_modal_components(errors: FormErrors, path: Path, components: Any) -> None:
    """Those of a modal."""
    if _is_list(errors, path, components, _MOST_ROWS, least=1):
        _check_list(errors, path, components, _MODAL_TOP, _OF_MODALS)
        _check_ids(errors, path, list(walk(components)))


def check_media(components: Any, filenames: Sequence[str]) -> None:
    """An `ApiError` if a file that is shown is none of those that the message has."""
    errors, path = FormErrors(), ("components",)
    for one in walk(components):
        shown = [one.get("media"), one.get("file"), *(item.get("media") for item in one.get("items") or ())]
        for url in [media["url"] for media in shown if media]:
            if url.startswith(ATTACHMENT) and url.removeprefix(ATTACHMENT) not in filenames:
                errors.add(path, "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", f"There is no file {url}.")
    errors.raise_any()


def _is_list(errors: FormErrors, path: Path, value: Any, most: int, least: int = 0) -> bool:
    fine = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    if not errors.require(fine, path, "Only a list of dictionaries is accepted."):
        return False
    errors.check_count(path, value, most, least=least)
    return True


def _check_list(
    errors: FormErrors, path: Path, components: list[Json], kinds: Sequence[int], known: Mapping[int, _Kind]
) -> None:
    for index, component in enumerate(components):
        _check(errors, (*path, index), component, kinds, known)


def _check(errors: FormErrors, path: Path, component: Json, kinds: Sequence[int], known: Mapping[int, _Kind]) -> None:
    kind = component.get("type")
    if isinstance(kind, bool) or not isinstance(kind, int) or kind not in kinds:
        errors.add((*path, "type"), "BASE_TYPE_CHOICES", f"Value must be one of {tuple(sorted(kinds))}.")
        return
    about = known[kind]
    try:
        form({**_ID, **about.fields}, *about.required)(component)
    except Unreadable as unreadable:
        errors.graft(path, unreadable.errors.tree)
        return
    for key, children in about.children.items():
        _check_children(errors, (*path, key), component.get(key), children, known)
    if kind == tree.BUTTON:
        _check_button(errors, path, component)
    elif kind == tree.ROW:
        _check_row(errors, (*path, "components"), component.get("components"))


def _check_children(
    errors: FormErrors, path: Path, value: Any, children: _Children, known: Mapping[int, _Kind]
) -> None:
    if value is None:
        errors.add(path, "BASE_TYPE_REQUIRED", "This field is required")
    elif children.most:
        if _is_list(errors, path, value, children.most, least=1):
            _check_list(errors, path, value, children.kinds, known)
    elif errors.require(isinstance(value, dict), path, "Only dictionaries may be used in this field."):
        _check(errors, path, value, children.kinds, known)


def _check_row(errors: FormErrors, path: Path, children: Any) -> None:
    found = objects(children)
    fine = len(found) == 1 or all(child.get("type") not in SELECTS for child in found)
    errors.require(fine, path, "A select menu fills its row")


def _check_button(errors: FormErrors, path: Path, button: Json) -> None:
    style = button["style"]
    named = button.get("label") or button.get("emoji") or style == _PREMIUM
    errors.require(named, (*path, "label"), "A button has a label or an emoji")
    if style == _LINK:
        errors.check_text((*path, "url"), button.get("url"), 512, least=1, required=True)
        errors.require(button.get("custom_id") is None, (*path, "custom_id"), "A link button has no custom id")
    elif style != _PREMIUM:
        errors.check_text((*path, "custom_id"), button.get("custom_id"), 100, least=1, required=True)
        errors.require(not button.get("url"), (*path, "url"), "Only a link button has a url")


def _check_ids(errors: FormErrors, path: Path, components: Sequence[Json]) -> None:
    seen: list[object] = []
    for component in components:
        if (custom_id := component.get("custom_id")) is None:
            continue
        if custom_id in seen:
            errors.add(path, "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
        seen.append(custom_id)
