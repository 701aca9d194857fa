"""A request's body, read and written anew: what was looked at is what is sent, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import orjson
from aiohttp import BodyPartReader, hdrs, web

from bot import constants

_PAYLOAD = "payload_json"
_FILE_FIELDS = ("file", "files[")
_MOST_PARTS = 32
"""Discord takes ten files."""
_FIELDS = frozenset({"name", "description", "tags"})
"""Of a sticker, which is sent as a form."""


class BadBody(Exception):
    """Discord might read it otherwise than the relay has, or the relay can't read it. `str(error)` says why."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a form."""

    field_name: str
    filename: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """JSON (None if there is none), and with it files and fields if it was a form."""

    json: Any = None
    is_empty: bool = True
    files: tuple[File, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        """A value of the JSON object; None if there is none."""
        return self.json.get(key) if isinstance(self.json, dict) else None

    def written(self) -> tuple[bytes | aiohttp.FormData | None, dict[str, str]]:
        """What is sent to Discord, and the header that belongs to it."""
        if self.files or self.fields:
            return self._form(), {}
        if self.is_empty:
            return None, {}
        return orjson.dumps(self.json), {hdrs.CONTENT_TYPE: "application/json"}

    def _form(self) -> aiohttp.FormData:
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        if not self.is_empty:
            form.add_field(_PAYLOAD, orjson.dumps(self.json).decode(), content_type="application/json")
        for name, value in self.fields.items():
            form.add_field(name, value)
        for file in self.files:
            form.add_field(file.field_name, file.data, filename=file.filename, content_type=file.content_type)
        return form


async def read_body(request: web.Request) -> Body:
    """`BadBody` for what isn't to be passed on."""
    if not request.can_read_body:
        return Body()
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise BadBody("The relay takes no compressed bodies.")
    kinds = request.headers.getall(hdrs.CONTENT_TYPE, [])
    if len(kinds) > 1:
        raise BadBody("One Content-Type, please.")
    kind = request.content_type
    if kind == "application/json":
        return _json(await request.read())
    if kind == "multipart/form-data":
        return await _multipart(request)
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(await request.read())
    if not (data := await request.read()):
        return Body()
    del data
    raise BadBody("The relay takes JSON and forms.")


def _json(data: bytes) -> Body:
    if not data:
        return Body()
    if sum(map(data.count, (b",", b"[", b"{"))) > constants.RELAY_JSON_VALUES:
        raise BadBody("The JSON has too many values.")
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadBody("The body is no JSON.") from None
    _require_shallow(parsed)
    return Body(parsed, is_empty=False)


def _require_shallow(data: Any) -> None:
    """Deeper than Discord's forms are, it can be read, but not be written anew."""
    level = [data]
    for _ in range(constants.RELAY_JSON_DEPTH):
        level = [part for each in level for part in _parts(each)]
        if not level:
            return
    raise BadBody("The JSON is too deep.")


def _parts(data: Any) -> Iterable[Any]:
    if isinstance(data, dict):
        return data.values()
    return data if isinstance(data, list) else ()


def _urlencoded(data: bytes) -> Body:
    """As py-cord answers interactions: its one field has the JSON."""
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, strict_parsing=bool(data), max_num_fields=10)
    except ValueError:
        raise BadBody("The form cannot be read.") from None
    if [name for name, _ in pairs] != [_PAYLOAD]:
        raise BadBody("A form has the one field payload_json.")
    return _json(pairs[0][1].encode())


async def _multipart(request: web.Request) -> Body:
    json, files, fields = Body(), [], {}
    size = parts = 0
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise BadBody("A form has no forms in it.")
            name = _name_of(part)
            data = bytes(await part.read(decode=False))
            size, parts = size + len(data), parts + 1
            if parts > _MOST_PARTS:
                raise BadBody(f"A form has at most {_MOST_PARTS} parts.")
            if size > constants.RELAY_BODY_BYTES:
                raise BadBody("The body is too large.")
            if name == _PAYLOAD:
                if not json.is_empty:
                    raise BadBody("payload_json is there twice.")
                json = _json(data)
            elif name.startswith(_FILE_FIELDS) and part.filename is not None:
                kind = part.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream")
                files.append(File(_printable(name), _printable(part.filename), _printable(kind), data))
            elif name in _FIELDS and name not in fields:
                fields[name] = data.decode()
            else:
                raise BadBody(f"The form's field “{name[:40]}” is not known, or there twice.")
    except (ValueError, UnicodeError, AssertionError, RuntimeWarning):  # aiohttp warns of odd names
        raise BadBody("The form cannot be read.") from None
    return Body(json.json, json.is_empty, tuple(files), fields)


def _printable(text: str) -> str:
    """It stands in a header again, where a line's end would begin another one."""
    if not text.isprintable():
        raise BadBody("A part of the form has odd headers.")
    return text


def _name_of(part: BodyPartReader) -> str:
    """Refuses what two readers may read in two ways."""
    dispositions = part.headers.getall(hdrs.CONTENT_DISPOSITION, [])
    if len(dispositions) != 1 or part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary") not in (
        "binary",
        "8bit",
        "7bit",
    ):
        raise BadBody("A part of the form has odd headers.")
    message = Message()
    message[hdrs.CONTENT_DISPOSITION] = dispositions[0]
    names = [value for key, value in message.get_params([], header=hdrs.CONTENT_DISPOSITION) if key == "name"]
    if len(names) != 1 or names[0] != part.name:
        raise BadBody("A part of the form has no clear name.")
    return names[0]
