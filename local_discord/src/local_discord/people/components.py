"""Buttons, select menus and modals, as a person uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local_discord.errors import UsageError
from local_discord.people.resolving import Resolver
from local_discord.rules.command_rules import ATTACHMENT
from local_discord.rules.component_tree import (
    BUTTON,
    CHECKBOX,
    CHECKBOX_GROUP,
    FILE_UPLOAD,
    LABEL,
    LINK_STYLES,
    RADIO_GROUP,
    SELECTS,
    TEXT_INPUT,
    numbered,
    walk,
)
from local_discord.wire import Json
from local_discord.world.channels import Message

_OPTION_TYPES = {5: 6, 6: 8, 7: 9, 8: 7}
"""Which type of command option takes what such a select menu chooses."""


def find_button(message: Message, wanted: str) -> Json:
    """By label or custom id; `UsageError` if there is none, or if the bot would not hear of it."""
    buttons = [one for one in walk(message.components) if one["type"] == BUTTON]
    for button in buttons:
        if wanted in (button.get("label"), button.get("custom_id")):
            if button.get("style") in LINK_STYLES:
                raise UsageError(f"{wanted} leads elsewhere: the bot does not hear of it.")
            return button
    labels = [button.get("label") or button.get("custom_id") for button in buttons]
    raise UsageError(f"There is no button {wanted!r}, only {labels}.")


def find_select(message: Message, wanted: str) -> Json:
    """By custom id or placeholder; `UsageError` if there is none."""
    for select in walk(message.components):
        if select["type"] in SELECTS and wanted in (select.get("custom_id"), select.get("placeholder")):
            return select
    raise UsageError(f"There is no select menu {wanted!r}.")


def require_enabled(component: Json) -> None:
    """`UsageError` for a component that is shown grey."""
    if component.get("disabled"):
        raise UsageError(f"{component.get('label') or component['custom_id']} is disabled.")


def selection(select: Json, values: Sequence[Any], resolver: Resolver) -> Json:
    """The data of an interaction with the menu; the values are labels, values, or what the menu's kind is made of.

    `UsageError` if they are too few, too many, or not in the menu.
    """
    least, most = select.get("min_values", 1), select.get("max_values", 1)
    if not least <= len(values) <= most:
        raise UsageError(f"Choose between {least} and {most}.")
    data: Json = {"custom_id": select["custom_id"], "component_type": select["type"]}
    if select["type"] in _OPTION_TYPES:
        kind = _OPTION_TYPES[select["type"]]
        return resolver.into(data | {"values": [resolver.pick(one, kind) for one in values]})
    options = {option["value"]: option["value"] for option in select["options"]}
    by_label = {option["label"]: option["value"] for option in select["options"]}
    chosen = [options.get(value) or by_label.get(value) for value in values]
    if None in chosen:
        raise UsageError(f"{list(values)} are not all among {list(options)}.")
    return data | {"values": chosen}


def submission(modal: Json, fields: Mapping[str, Any], resolver: Resolver) -> Json:
    """The data of a modal's submission, shaped as the modal is; `UsageError` for a field it does not have."""
    left = dict(fields)
    rows = [_row(row, left, resolver) for row in modal["components"]]
    if left:
        raise UsageError(f"The modal has no field {', '.join(left)}.")
    return resolver.into({"custom_id": modal["custom_id"], "components": numbered(rows)})


def _row(row: Json, fields: dict[str, Any], resolver: Resolver) -> Json:
    if row["type"] == LABEL:
        return {"type": LABEL, "component": _filled(row["component"], row["label"], fields, resolver)}
    if "components" not in row:
        return {"type": row["type"]}
    children = [_filled(one, one.get("label") or "", fields, resolver) for one in row["components"]]
    return {"type": 1, "components": children}


def _filled(field: Json, label: str, fields: dict[str, Any], resolver: Resolver) -> Json:
    names = (field["custom_id"], label, label.lower().replace(" ", "_"))
    name = next((one for one in names if one in fields), None)
    value = fields.pop(name) if name is not None else None
    told: Json = {"type": field["type"], "custom_id": field["custom_id"]}
    if field["type"] == TEXT_INPUT:
        return told | {"value": _text(field, label, value)}
    if field["type"] == CHECKBOX:
        return told | {"value": bool(field.get("default") if value is None else value)}
    if field["type"] == RADIO_GROUP:
        chosen = _chosen(field | {"max_values": 1}, label, _listed(field, value), resolver)
        return told | {"value": chosen[0] if chosen else None}
    return told | {"values": _chosen(field, label, _listed(field, value), resolver)}


def _listed(field: Json, value: Any) -> list[Any]:
    """One thing is given as itself; a file is a pair, and one thing."""
    if isinstance(value, list) or (isinstance(value, tuple) and field["type"] != FILE_UPLOAD):
        return list(value)
    return [] if value is None else [value]


def _chosen(field: Json, label: str, values: list[Any], resolver: Resolver) -> list[str]:
    least = field.get("min_values")
    least = 0 if not field.get("required", True) and not values else 1 if least is None else least
    most = field.get("max_values") or (len(field["options"]) if field["type"] == CHECKBOX_GROUP else 1)
    if not least <= len(values) <= most:
        raise UsageError(f"{label} takes between {least} and {most}.")
    if field["type"] == FILE_UPLOAD:
        return [resolver.pick(one, ATTACHMENT) for one in values]
    limits = {"min_values": least, "max_values": most}
    chosen: list[str] = selection(field | limits, values, resolver)["values"]
    return chosen


def _text(field: Json, label: str, value: object) -> str:
    text = str(field.get("value") or "" if value is None else value)
    required = field.get("required", True)
    least, most = max(field.get("min_length") or 0, int(required)), field.get("max_length") or 4000
    if (text or required) and not least <= len(text) <= most:
        raise UsageError(f"{label} needs {least} to {most} characters.")
    return text
