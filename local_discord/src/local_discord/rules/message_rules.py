"""What Discord accepts as a message, and as a modal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local_discord.errors import FormErrors, Path
from local_discord.rules.component_tree import SELECTS, walk
from local_discord.wire import Json, objects

EPHEMERAL = 1 << 6
LOADING = 1 << 7
COMPONENTS_V2 = 1 << 15

_EMBED_TEXT = {"title": 256, "description": 4096, "url": 2048}
_EMBED_CHARACTERS = 6000
_LINK, _PREMIUM = 5, 6
_SHAPES = {
    "embeds": list,
    "components": list,
    "attachments": list,
    "flags": int,
    "allowed_mentions": dict,
    "message_reference": dict,
}


def check_message(form: Json) -> None:
    """An `ApiError` that names every fault; whether the message is empty is another question."""
    errors = FormErrors()
    _check_shape(errors, form)
    errors.raise_any()
    errors.check_text(("content",), form.get("content"), 2000)
    errors.check_text(("nonce",), None if form.get("nonce") is None else str(form["nonce"]), 25)
    _check_embeds(errors, form.get("embeds") or [])
    layout = bool((form.get("flags") or 0) & COMPONENTS_V2)
    _check_components(errors, form.get("components") or [], layout=layout)
    if layout:
        message = "Components V2 messages have neither content nor embeds"
        errors.require(not form.get("content") and not form.get("embeds"), ("content",), message)
    errors.raise_any()


def _check_shape(errors: FormErrors, form: Json) -> None:
    """What the other rules, and those who read the form, rely on."""
    for key, kind in _SHAPES.items():
        value = form.get(key)
        errors.require(value is None or type(value) is kind, (key,), f"This field is a {kind.__name__}.")
    attachments = form.get("attachments")
    if isinstance(attachments, list):
        fine = all(isinstance(one, dict) and str(one.get("id")).isdigit() for one in attachments)
        errors.require(fine, ("attachments",), "Every attachment has an id.")
    for index, embed in enumerate(objects(form.get("embeds"))):
        for key in ("footer", "author"):
            fine = isinstance(embed.get(key) or {}, dict)
            errors.require(fine, ("embeds", index, key), "Only dictionaries may be used in this field.")


def check_modal(form: Json) -> None:
    """An `ApiError` that names every fault of a modal's frame; what its fields are is not looked at."""
    errors = FormErrors()
    errors.check_text(("data", "title"), form.get("title"), 45, least=1, required=True)
    errors.check_text(("data", "custom_id"), form.get("custom_id"), 100, least=1, required=True)
    components = form.get("components")
    if errors.require(isinstance(components, list), ("data", "components"), "This field is required"):
        errors.check_count(("data", "components"), components or [], 5, least=1)
    errors.raise_any()


def _check_embeds(errors: FormErrors, embeds: Any) -> None:
    if not _is_list_of_objects(errors, ("embeds",), embeds):
        return
    errors.check_count(("embeds",), embeds, 10)
    for index, embed in enumerate(embeds):
        _check_embed(errors, ("embeds", index), embed)
    if sum(map(_embed_characters, embeds)) > _EMBED_CHARACTERS:
        message = f"Embed size exceeds maximum size of {_EMBED_CHARACTERS}"
        errors.add(("embeds", 0), "MAX_EMBED_SIZE_EXCEEDED", message)


def _check_embed(errors: FormErrors, path: Path, embed: Json) -> None:
    for key, most in _EMBED_TEXT.items():
        errors.check_text((*path, key), embed.get(key), most)
    errors.check_text((*path, "footer", "text"), (embed.get("footer") or {}).get("text"), 2048)
    errors.check_text((*path, "author", "name"), (embed.get("author") or {}).get("name"), 256)
    colour = embed.get("color")
    fine = colour is None or (type(colour) is int and 0 <= colour <= 0xFFFFFF)
    errors.require(fine, (*path, "color"), "int value should be between 0 and 16777215.")
    fields = embed.get("fields") or []
    if not _is_list_of_objects(errors, (*path, "fields"), fields):
        return
    errors.check_count((*path, "fields"), fields, 25)
    for index, field in enumerate(fields):
        for key, most in (("name", 256), ("value", 1024)):
            errors.check_text((*path, "fields", index, key), field.get(key), most, least=1, required=True)


def _embed_characters(embed: Json) -> int:
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    texts += [field.get(key) for field in objects(embed.get("fields")) for key in ("name", "value")]
    return sum(len(text) for text in texts if isinstance(text, str))


def _check_components(errors: FormErrors, components: Any, *, layout: bool) -> None:
    path: Path = ("components",)
    if not _is_list_of_objects(errors, path, components):
        return
    if layout:
        errors.check_count(path, list(walk(components)), 40)
    else:
        errors.check_count(path, components, 5)
    for index, row in enumerate(components):
        is_row = row.get("type") == 1
        if errors.require(is_row or layout, (*path, index, "type"), "Value must be one of (1,)."):
            _check_row(errors, (*path, index, "components"), row.get("components", []), is_row=is_row)
    _check_ids(errors, [one for one in walk(components) if one.get("custom_id") is not None])


def _check_ids(errors: FormErrors, components: Sequence[Json]) -> None:
    seen: list[object] = []
    for component in components:
        if component["custom_id"] in seen:
            message = "Component custom id cannot be duplicated"
            errors.add(("components",), "COMPONENT_CUSTOM_ID_DUPLICATED", message)
        seen.append(component["custom_id"])


def _check_row(errors: FormErrors, path: Path, children: Any, *, is_row: bool) -> None:
    if not _is_list_of_objects(errors, path, children):
        return
    if is_row:
        errors.check_count(path, children, 5, least=1)
        selects = [child for child in children if child.get("type") in SELECTS]
        errors.require(not selects or len(children) == 1, path, "A select menu fills its row")
    for index, child in enumerate(children):
        if child.get("type") == 2:
            _check_button(errors, (*path, index), child)
        elif child.get("type") in SELECTS:
            _check_select(errors, (*path, index), child)
        elif is_row:
            errors.require(False, (*path, index, "type"), "Value must be one of (2, 3, 5, 6, 7, 8).")


def _check_button(errors: FormErrors, path: Path, button: Json) -> None:
    style = button.get("style")
    errors.require(style in range(1, 7), (*path, "style"), "Value must be one of (1, 2, 3, 4, 5, 6).")
    errors.check_text((*path, "label"), button.get("label"), 80)
    named = button.get("label") or button.get("emoji") or style == _PREMIUM
    errors.require(named, (*path, "label"), "A button has a label or an emoji")
    if style == _LINK:
        errors.check_text((*path, "url"), button.get("url"), 512, least=1, required=True)
        errors.require("custom_id" not in button, (*path, "custom_id"), "A link button has no custom id")
    elif style != _PREMIUM:
        errors.check_text((*path, "custom_id"), button.get("custom_id"), 100, least=1, required=True)
        errors.require(not button.get("url"), (*path, "url"), "Only a link button has a url")


def _check_select(errors: FormErrors, path: Path, select: Json) -> None:
    errors.check_text((*path, "custom_id"), select.get("custom_id"), 100, least=1, required=True)
    errors.check_text((*path, "placeholder"), select.get("placeholder"), 150)
    if select["type"] != 3:
        return
    options = select.get("options")
    if not _is_list_of_objects(errors, (*path, "options"), options):
        return
    errors.check_count((*path, "options"), options or [], 25, least=1)
    for index, option in enumerate(options or []):
        for key in ("label", "value"):
            errors.check_text((*path, "options", index, key), option.get(key), 100, least=1, required=True)


def _is_list_of_objects(errors: FormErrors, path: Path, value: Any) -> bool:
    fine = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return errors.require(fine, path, "Only a list of dictionaries is accepted.")
