"""What Discord accepts as a message, and as a modal."""

from __future__ import annotations

from typing import Any

from local_discord.errors import FormErrors, Path
from local_discord.rules.component_rules import check_components, check_modal_components
from local_discord.rules.fields import Read, Unreadable, address, boolean, each, moment, optional, snowflake, word
from local_discord.rules.fields import form as form_of
from local_discord.snowflakes import is_snowflake
from local_discord.wire import Json, objects

EPHEMERAL = 1 << 6
LOADING = 1 << 7
COMPONENTS_V2 = 1 << 15

_ALLOWED_MENTIONS = form_of(
    {
        "parse": optional(each(word("users", "roles", "everyone"), 3)),
        "users": optional(each(snowflake, 100)),
        "roles": optional(each(snowflake, 100)),
        "replied_user": optional(boolean),
    }
)
_LINK, _PICTURE = optional(address("http", "https")), optional(address("http", "https", "attachment"))
_EMBED = form_of(
    {
        "url": _LINK,
        "timestamp": optional(moment),
        "author": optional(form_of({"url": _LINK, "icon_url": _PICTURE})),
        "footer": optional(form_of({"icon_url": _PICTURE})),
        "image": optional(form_of({"url": _PICTURE})),
        "thumbnail": optional(form_of({"url": _PICTURE})),
    }
)
"""What else of it is looked at is told by its length."""
_EMBED_TEXT = {"title": 256, "description": 4096}
_EMBED_CHARACTERS = 6000
_SHAPES = {
    "embeds": list,
    "components": list,
    "attachments": list,
    "flags": int,
    "allowed_mentions": dict,
    "message_reference": dict,
}


def check_message(form: Json, *, flags: int = 0) -> None:
    """An `ApiError` that names every fault; whether the message is empty is another question.

    `flags` are those of a message that is edited.
    """
    errors = FormErrors()
    _check_shape(errors, form)
    errors.raise_any()
    errors.check_text(("content",), form.get("content"), 2000)
    errors.check_text(("nonce",), None if form.get("nonce") is None else str(form["nonce"]), 25)
    _check_embeds(errors, form.get("embeds") or [])
    _check_allowed_mentions(errors, form.get("allowed_mentions") or {})
    layout = bool(((form.get("flags") or 0) | flags) & COMPONENTS_V2)
    check_components(errors, form.get("components") or [], layout=layout)
    if layout:
        for key in ("content", "embeds", "poll", "sticker_ids"):
            errors.require(not form.get(key), (key,), f"The {key} field cannot be used with components of version 2.")
    errors.raise_any()


def _check_shape(errors: FormErrors, form: Json) -> None:
    """What the other rules, and those who read the form, rely on."""
    for key, kind in _SHAPES.items():
        value = form.get(key)
        errors.require(value is None or type(value) is kind, (key,), f"This field is a {kind.__name__}.")
    attachments = form.get("attachments")
    if isinstance(attachments, list):
        fine = all(isinstance(one, dict) and is_snowflake(one.get("id")) for one in attachments)
        errors.require(fine, ("attachments",), "Every attachment has an id.")
    for index, embed in enumerate(objects(form.get("embeds"))):
        for key in ("footer", "author"):
            fine = isinstance(embed.get(key) or {}, dict)
            errors.require(fine, ("embeds", index, key), "Only dictionaries may be used in this field.")


def check_modal(form: Json) -> None:
    """An `ApiError` that names every fault of a modal."""
    errors = FormErrors()
    errors.check_text(("data", "title"), form.get("title"), 45, least=1, required=True)
    errors.check_text(("data", "custom_id"), form.get("custom_id"), 100, least=1, required=True)
    check_modal_components(errors, ("data", "components"), form.get("components"))
    errors.raise_any()


def _check_allowed_mentions(errors: FormErrors, wanted: Json) -> None:
    found = _read(errors, ("allowed_mentions",), _ALLOWED_MENTIONS, wanted)
    for kind in ("users", "roles"):
        fine = not found.get(kind) or kind not in (found.get("parse") or ())
        message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
        errors.require(fine, ("allowed_mentions", kind), message)


def _read(errors: FormErrors, path: Path, read: Read, value: Json) -> Json:
    """What is read; nothing, beside what is wrong, for what cannot be."""
    try:
        found: Json = read(value)
    except Unreadable as unreadable:
        errors.graft(path, unreadable.errors.tree)
        return {}
    return found


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
    _read(errors, path, _EMBED, embed)
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


def _is_list_of_objects(errors: FormErrors, path: Path, value: Any) -> bool:
    fine = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return errors.require(fine, path, "Only a list of dictionaries is accepted.")
