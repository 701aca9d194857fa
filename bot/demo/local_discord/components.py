"""Buttons, select menus and modals, as a person uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot.demo.local_discord.errors import UsageError
from bot.demo.local_discord.invocation import resolve
from bot.demo.local_discord.wire import Json

if TYPE_CHECKING:
    from bot.demo.local_discord.guilds import Guild
    from bot.demo.local_discord.messages import Message

BUTTON, STRING_SELECT, TEXT_INPUT, LABEL = 2, 3, 4, 18
SELECTS = {STRING_SELECT, 5, 6, 7, 8}
_LINK_STYLES = {5, 6}
_OPTION_TYPES = {5: 6, 6: 8, 7: 9, 8: 7}
"""Which type of command option takes what such a select menu chooses."""


def walk(components: Sequence[Json]) -> Iterator[Json]:
    """Every component, however deep it is nested."""
    for component in components:
        yield component
        yield from walk(component.get("components") or ())
        yield from walk([component[key] for key in ("accessory", "component") if component.get(key)])


def find_button(message: Message, wanted: str) -> Json:
    buttons = [one for one in walk(message.components) if one["type"] == BUTTON]
    for button in buttons:
        if wanted in (button.get("label"), button.get("custom_id")):
            if button.get("style") in _LINK_STYLES:
                raise UsageError(f"{wanted} leads elsewhere: the bot does not hear of it.")
            return button
    labels = [button.get("label") or button.get("custom_id") for button in buttons]
    raise UsageError(f"There is no button {wanted!r}, only {labels}.")


def find_select(message: Message, wanted: str) -> Json:
    for select in walk(message.components):
        if select["type"] in SELECTS and wanted in (select.get("custom_id"), select.get("placeholder")):
            return select
    raise UsageError(f"There is no select menu {wanted!r}.")


def require_enabled(component: Json) -> None:
    if component.get("disabled"):
        raise UsageError(f"{component.get('label') or component['custom_id']} is disabled.")


def selection(select: Json, values: Sequence[Any], guild: Guild | None) -> Json:
    """The data of an interaction with the menu."""
    least, most = select.get("min_values", 1), select.get("max_values", 1)
    if not least <= len(values) <= most:
        raise UsageError(f"Choose between {least} and {most}.")
    data: Json = {"custom_id": select["custom_id"], "component_type": select["type"]}
    if select["type"] != STRING_SELECT:
        resolved: Json = {}
        kind = _OPTION_TYPES[select["type"]]
        return data | {"values": [resolve(one, kind, guild, resolved) for one in values], "resolved": resolved}
    options = {option["value"]: option["value"] for option in select["options"]}
    by_label = {option["label"]: option["value"] for option in select["options"]}
    chosen = [options.get(value) or by_label.get(value) for value in values]
    if None in chosen:
        raise UsageError(f"{list(values)} are not all among {list(options)}.")
    return data | {"values": chosen}


def submission(modal: Json, fields: Mapping[str, Any]) -> Json:
    """The data of a modal's submission, shaped as the modal is."""
    left = dict(fields)
    rows = [_row(row, left) for row in modal["components"]]
    if left:
        raise UsageError(f"The modal has no field {', '.join(left)}.")
    return {"custom_id": modal["custom_id"], "components": rows}


def _row(row: Json, fields: dict[str, Any]) -> Json:
    if row["type"] == LABEL:
        return {"type": LABEL, "component": _filled(row["component"], row.get("label"), fields)}
    if "components" not in row:
        return {"type": row["type"]}
    return {"type": 1, "components": [_filled(one, one.get("label"), fields) for one in row["components"]]}


def _filled(field: Json, label: str | None, fields: dict[str, Any]) -> Json:
    names = (field["custom_id"], label, (label or "").lower().replace(" ", "_"))
    name = next((one for one in names if one in fields), None)
    value = fields.pop(name) if name is not None else None
    if field["type"] in SELECTS:
        return _selected(field, value)
    if field["type"] != TEXT_INPUT:
        raise UsageError(f"{label} is of a kind that cannot be filled in here.")
    text = str(value if value is not None else field.get("value") or "")
    least = max(field.get("min_length") or 0, 1 if field.get("required", True) else 0)
    if (text or field.get("required", True)) and not least <= len(text) <= (field.get("max_length") or 4000):
        raise UsageError(f"{label} needs {least} to {field.get('max_length') or 4000} characters.")
    return {"type": TEXT_INPUT, "custom_id": field["custom_id"], "value": text}


def _selected(field: Json, value: Any) -> Json:
    chosen = selection(field, [value] if isinstance(value, str) else value or [], None)
    return {"type": field["type"], "custom_id": field["custom_id"], "values": chosen["values"]}
