"""What a request carries: a JSON object, or a multipart form with one and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web

from local_discord import wire
from local_discord.errors import ApiError, FormErrors, invalid_form
from local_discord.http.frame import ASKED, CHECKS_FIELDS
from local_discord.rules.component_rules import check_media
from local_discord.rules.message_rules import EPHEMERAL, LOADING, check_message
from local_discord.rules.poll_rules import check_poll
from local_discord.snowflakes import Snowflakes
from local_discord.wire import Json
from local_discord.world.channels import Message
from local_discord.world.drafts import Attachment, Draft
from local_discord.world.polls import Poll

MOST_BYTES = 10 * 1024 * 1024
"""Of the files of one request together."""
_MOST_FILES = 10
_FILE = re.compile(r"files?\[?(\d*)\]?")
_IGNORED = {"pass_self_into_delete", "lock_permissions"}
"""What libraries send by mistake (the first interactions.py, the other discord.js), and Discord ignores."""
_JSON, _URLENCODED = "application/json", "application/x-www-form-urlencoded"
_AUTHORS_FLAGS = ~(LOADING | EPHEMERAL)


Uploads: TypeAlias = dict[int, tuple[str, bytes]]
"""Name and content, by the number in their part's name."""


@dataclass(slots=True)
class Form:
    """`data` is any JSON, and an empty object if the request has no body."""

    data: Any = field(default_factory=dict)
    files: Uploads = field(default_factory=dict)

    def object(self) -> Json:
        """The data, or an `ApiError` if it is no object."""
        if not isinstance(self.data, dict):
            raise invalid_form((), "Only dictionaries may be used in this field.")
        return self.data


async def read(request: web.Request) -> Form:
    """JSON, or JSON in a form's `payload_json`, or a form's plain fields.

    An `ApiError` for what is none of that, for a field that the operation does not have, and for files of more than
    `MOST_BYTES` together.
    """
    form = await _read(request)
    fields = request[ASKED].operation.fields
    if request[CHECKS_FIELDS] and fields and isinstance(form.data, dict):
        errors = FormErrors()
        for key in form.data.keys() - fields - _IGNORED - {_camel_case(field) for field in fields}:
            errors.add((key,), "UNKNOWN_FIELD", "This operation has no such field.")
        errors.raise_any()
    return form


def _camel_case(field: str) -> str:
    """As discord.js calls it, which sends some fields under that name too."""
    return re.sub("_(.)", lambda found: found[1].upper(), field)


async def _read(request: web.Request) -> Form:
    if request.content_type.startswith("multipart/"):
        return await _read_multipart(request)
    body = await request.read()
    if not body:
        return Form()
    if request.content_type == _JSON:
        return Form(_json(body))
    if request.content_type == _URLENCODED:
        form = Form()
        for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
            _take(form, name, value.encode())
        return form
    expected = f"{{'{_JSON}', '{_URLENCODED}', 'multipart/form-data'}}"
    raise ApiError(400, 50035, f'Expected "Content-Type" header to be one of {expected}.')


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
        if found := _FILE.fullmatch(name):
            form.files[int(found[1] or 0)] = (part.filename or "file", content)
        else:
            _take(form, name, content)
    return form


def _take(form: Form, name: str, content: bytes) -> None:
    if name == "payload_json":
        form.data = _json(content)
    elif isinstance(form.data, dict):
        form.data.setdefault(name, content.decode("utf-8", "replace"))


def _json(body: bytes) -> Any:
    try:
        return wire.decode(body)
    except ValueError:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None


def draft(form: Json, files: Uploads, snowflakes: Snowflakes, earlier: Message | None = None) -> Draft:
    """What a valid form says, or an `ApiError`; `earlier` is the message that is edited."""
    check_message(form, flags=earlier.flags if earlier else 0)
    if form.get("poll") is not None:
        check_poll(form["poll"])
    kept = earlier.attachments if earlier else []
    attachments = _attachments(form, files, snowflakes, kept)
    check_media(form.get("components") or [], [one.filename for one in (kept if attachments is None else attachments)])
    return Draft(
        content=(form["content"] or "") if "content" in form else None,
        embeds=(form["embeds"] or []) if "embeds" in form else None,
        components=(form["components"] or []) if "components" in form else None,
        attachments=attachments,
        flags=int(form.get("flags") or 0) & _AUTHORS_FLAGS,
        tts=bool(form.get("tts")),
        nonce=form.get("nonce"),
        enforce_nonce=bool(form.get("enforce_nonce")),
        mentions_allowed=form.get("allowed_mentions"),
        poll=Poll(form["poll"], snowflakes.clock.now()) if form.get("poll") is not None else None,
    )


def _attachments(
    form: Json, files: Uploads, snowflakes: Snowflakes, kept: Sequence[Attachment]
) -> list[Attachment] | None:
    listed = form.get("attachments")
    if listed is None and not files:
        return None
    described = {int(one["id"]): one for one in listed or []}
    remaining = [one for one in kept if listed is None or one.id in described]
    strangers = [number for number in described if number not in files and all(one.id != number for one in kept)]
    if strangers:
        raise invalid_form(("attachments",), "An attachment has no file.")
    if len(remaining) + len(files) > _MOST_FILES:
        raise ApiError(400, 30015, f"Maximum number of attachments in a message reached ({_MOST_FILES})")
    for number, (filename, content) in sorted(files.items()):
        about = described.get(number, {})
        filename = about.get("filename") or filename
        remaining.append(Attachment(snowflakes.next(), filename, content, about.get("description")))
    return remaining
