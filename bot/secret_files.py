"""Secrets that stand in files, as containers and systemd hand them out: `DISCORD_TOKEN_FILE` and the like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SUFFIX = "_FILE"


def read_secret_files(variables: Mapping[str, str | None], secrets: Mapping[str, str]) -> dict[str, str | None]:
    """The variables, with each secret in the place of the one that names its file. `ValueError` is one line for the
    operator.

    `secrets`: what each variable of a secret is called in errors.
    """
    found = dict(variables)
    for variable, told in secrets.items():
        if path := found.pop(variable + SUFFIX, None):
            if found.get(variable):
                raise ValueError(f"{told}: it is set, and {told}{SUFFIX} too; keep one of them.")
            found[variable] = _read(Path(path), told + SUFFIX)
    return found


def _read(path: Path, told: str) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise ValueError(f"{told}: {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{told}: {path} is not UTF-8 text.") from None
    if not text:
        raise ValueError(f"{told}: {path} is empty.")
    return text
