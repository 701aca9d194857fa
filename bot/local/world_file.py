"""A world in a file: read, and written back."""

from __future__ import annotations

import tomllib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from tomlkit.items import AoT

from bot.local.world_model import WorldFile
from sandbox_worker.files import replace_file

_MODE = 0o644


class WrongWorld(Exception):
    """The file is no world; the text names it, and the line or the key."""


def read_world(path: Path) -> WorldFile:
    """`WrongWorld` for one that is none; `OSError` for what cannot be read."""
    try:
        return WorldFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongWorld(f"{path}: {error}") from None
    except ValidationError as error:
        raise WrongWorld(f"{path}: {'; '.join(map(_told, error.errors()))}") from None


def save_world(path: Path, world: WorldFile) -> bool:
    """Whole or not at all; False if it stands there already. Comments stay where they stand."""
    data = _ordered(world.model_dump(exclude_defaults=True))
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if tomllib.loads(text) == data:
        return False
    document = tomlkit.parse(text)
    _update(document, data)
    changed = tomlkit.dumps(document)
    if tomllib.loads(changed) != data:  # it was written in a way that does not take the change
        changed = tomlkit.dumps(data)
    replace_file(path, changed, mode=_MODE)
    return True


def _told(error: Any) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    return f"{key.lstrip('.')}: {error['msg'].removeprefix('Value error, ')}"


def _ordered(data: dict[str, Any]) -> dict[str, Any]:
    """What stands in a line of its own comes before what takes a header; TOML has no word for nothing."""
    ordered = {key: _ordered_value(value) for key, value in data.items() if value is not None}
    return dict(sorted(ordered.items(), key=lambda item: _is_tables(item[1]) or isinstance(item[1], dict)))


def _ordered_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _ordered(value)
    return [_ordered_value(one) for one in value] if isinstance(value, list) else value


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _update(table: MutableMapping[str, Any], data: dict[str, Any]) -> None:
    for key in [key for key in table if key not in data]:
        del table[key]
    for key, value in data.items():
        old = table.get(key)
        if isinstance(old, MutableMapping) and isinstance(value, dict):
            _update(old, value)
        elif isinstance(old, AoT) and _is_tables(value):
            _update_tables(old, value)
        elif old != value:
            table[key] = value


def _update_tables(tables: AoT, entries: list[dict[str, Any]]) -> None:
    for index, entry in enumerate(entries):
        if index < len(tables):
            _update(tables[index], entry)
        else:
            tables.append(tomlkit.item(entry))
    while len(tables) > len(entries):
        del tables[-1]
