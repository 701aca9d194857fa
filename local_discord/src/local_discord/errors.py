"""How Discord says no: to the bot over HTTP, and to a person in their client."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, TypeAlias

from local_discord.wire import Json

Path: TypeAlias = tuple[str | int, ...]

_UNKNOWN = {
    "Application": 10002,
    "Channel": 10003,
    "Guild": 10004,
    "Invite": 10006,
    "Member": 10007,
    "Message": 10008,
    "Overwrite": 10009,
    "Role": 10011,
    "User": 10013,
    "Emoji": 10014,
    "Webhook": 10015,
    "Ban": 10026,
    "guild template": 10057,
    "Sticker": 10060,
    "sticker pack": 10061,
    "interaction": 10062,
    "application command": 10063,
    "Voice State": 10065,
    "application command permissions": 10066,
    "Stage Instance": 10067,
    "Entitlement": 10029,
    "Guild Welcome Screen": 10069,
    "Guild Scheduled Event": 10070,
    "Sound": 10097,
    "Auto Moderation Rule": 0,
}


class UsageError(Exception):
    """Discord's client would not let a person do that; `code` is what the API would say, 0 if nobody would ask it."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class CommandUsageError(UsageError):
    """Discord's client would not let a person send that command."""


class ApiError(Exception):
    """An answer of the HTTP API that is not a success: an HTTP status, and Discord's own code (0 if it has none)."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(f"{status} (code {code}): {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors

    def within(self, key: str) -> ApiError:
        """The same of a form that stands below that key of another one."""
        return ApiError(self.status, self.code, self.message, self.errors and {key: self.errors})

    def body(self) -> Json:
        """As it is sent; `errors`, if there are any, say which field of a form is meant."""
        body: Json = {"message": self.message, "code": self.code}
        if self.errors is not None:
            body["errors"] = self.errors
        return body


def unknown(what: str) -> ApiError:
    """404 with the code of that kind of thing; `KeyError` for a kind that has none here."""
    return ApiError(404, _UNKNOWN[what], f"Unknown {what}")


def missing_access() -> ApiError:
    """The bot does not see the place."""
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    """The bot sees the place, but may not do that there."""
    return ApiError(403, 50013, "Missing Permissions")


def empty_message() -> ApiError:
    """Neither text nor embed, component or file."""
    return ApiError(400, 50006, "Cannot send an empty message")


class FormErrors:
    """Collects what is wrong with a form, field by field, as Discord nests it."""

    def __init__(self) -> None:
        self.tree: Json = {}
        """A level for each step of a path; the faults themselves are under `_errors`."""

    def add(self, path: Path, code: str, message: str) -> None:
        """One fault; the path leads from the form to the field, by keys and indices."""
        node: Json = self.tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def graft(self, path: Path, tree: Json) -> None:
        """What is wrong with the form that this field holds, as its own errors tell it."""
        node: Json = self.tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.update(tree)

    def require(self, fine: object, path: Path, message: str) -> bool:
        """A rule with no code of its own: adds the fault unless `fine` is true, and returns whether it is."""
        if not fine:
            self.add(path, "BASE_TYPE_INVALID", message)
        return bool(fine)

    def check_text(self, path: Path, text: Any, most: int, *, least: int = 0, required: bool = False) -> None:
        """A string within its length; None passes unless the field is required."""
        if text is None:
            if required:
                self.add(path, "BASE_TYPE_REQUIRED", "This field is required")
        elif not isinstance(text, str):
            self.add(path, "STRING_TYPE_CONVERT", "Could not interpret as string.")
        elif not least <= len(text) <= most:
            self.check_count(path, text, most, least=least)

    def check_count(self, path: Path, items: Sized, most: int, *, least: int = 0) -> None:
        """Both limits are allowed."""
        if not least <= len(items) <= most:
            limits = f"between {least} and {most}" if least else f"{most} or fewer"
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be {limits} in length.")

    def raise_any(self) -> None:
        """One `ApiError` with all that was added; nothing if there was nothing."""
        if self.tree:
            raise ApiError(400, 50035, "Invalid Form Body", self.tree)


def invalid_form(path: Path, message: str) -> ApiError:
    """One thing wrong with a form; an empty path means the whole of it."""
    errors = FormErrors()
    errors.add(path, "BASE_TYPE_INVALID", message)
    return ApiError(400, 50035, "Invalid Form Body", errors.tree)
