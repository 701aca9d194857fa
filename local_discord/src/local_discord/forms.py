"""What a request carries: a JSON object, or a multipart form with one and files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from local_discord import message_rules, wire
from local_discord.errors import ApiError, invalid_form
from local_discord.messages import EPHEMERAL, LOADING, Attachment, Draft
from local_discord.snowflakes import Snowflakes
from local_discord.wire import Json

MOST_BYTES = 10 * 1024 * 1024
_FILE = re.compile(r"files\[(\d+)\]")
_REFERENCE = ("message_id", "channel_id", "guild_id")
_AUTHORS_FLAGS = ~(LOADING | EPHEMERAL)


@dataclass(slots=True)
class Form:
    data: Any = field(default_factory=dict)
    files: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    """By the number in their part's name."""

    def object(self) -> Json:
        if not isinstance(self.data, dict):
            raise invalid_form((), "Only dictionaries may be used in this field.")
        return self.data


async def read(request: web.Request) -> Form:
    if request.content_type.startswith("multipart/"):
        return await _read_multipart(request)
    body = await request.read()
    return Form(_json(body) if body else {})


async def _read_multipart(request: web.Request) -> Form:
    form = Form()
    size = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        content = bytes(await part.read())
        size += len(content)
        if size > MOST_BYTES:
            raise ApiError(413, 40005, "Request entity too large")
        name = part.name or ""
        if name == "payload_json":
            form.data = _json(content)
        elif found := _FILE.fullmatch(name):
            form.files[int(found[1])] = (part.filename or "file", content)
    return form


def _json(body: bytes) -> Any:
    try:
        return wire.decode(body)
    except ValueError:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None


def draft(
    form: Json, files: dict[int, tuple[str, bytes]], snowflakes: Snowflakes, kept: list[Attachment] | None = None
) -> Draft:
    """What a valid form says; `kept` are the attachments that a message has before it is edited."""
    message_rules.check_message(form)
    reference = form.get("message_reference")
    return Draft(
        content=(form["content"] or "") if "content" in form else None,
        embeds=(form["embeds"] or []) if "embeds" in form else None,
        components=(form["components"] or []) if "components" in form else None,
        attachments=_attachments(form, files, snowflakes, kept or []),
        flags=int(form.get("flags") or 0) & _AUTHORS_FLAGS,
        tts=bool(form.get("tts")),
        nonce=form.get("nonce"),
        enforce_nonce=bool(form.get("enforce_nonce")),
        mentions_allowed=form.get("allowed_mentions"),
        reference={key: str(reference[key]) for key in _REFERENCE if reference.get(key)} if reference else None,
    )


def _attachments(
    form: Json, files: dict[int, tuple[str, bytes]], snowflakes: Snowflakes, kept: list[Attachment]
) -> list[Attachment] | None:
    listed = form.get("attachments")
    if listed is None and not files:
        return None
    described = {int(one["id"]): one for one in listed or []}
    remaining = [one for one in kept if listed is None or one.id in described]
    strangers = [number for number in described if number not in files and all(one.id != number for one in kept)]
    if strangers:
        raise invalid_form(("attachments",), "An attachment has no file.")
    for number, (filename, content) in sorted(files.items()):
        about = described.get(number, {})
        filename = about.get("filename") or filename
        remaining.append(Attachment(snowflakes.next(), filename, content, about.get("description")))
    return remaining
