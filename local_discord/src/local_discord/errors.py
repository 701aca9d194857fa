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
    "Member": 10007,
    "Message": 10008,
    "User": 10013,
    "Webhook": 10015,
    "interaction": 10062,
    "application command": 10063,
}


class UsageError(Exception):
    """Discord's client would not let a person do that."""


class CommandUsageError(UsageError):
    """Discord's client would not let a person send that command."""


class ApiError(Exception):
    """An answer of the HTTP API that is not a success."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(f"{status} (code {code}): {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors

    def body(self) -> Json:
        body: Json = {"message": self.message, "code": self.code}
        if self.errors is not None:
            body["errors"] = self.errors
        return body


def unknown(what: str) -> ApiError:
    return ApiError(404, _UNKNOWN[what], f"Unknown {what}")


def missing_access() -> ApiError:
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    return ApiError(403, 50013, "Missing Permissions")


def empty_message() -> ApiError:
    return ApiError(400, 50006, "Cannot send an empty message")


class FormErrors:
    """Collects what is wrong with a form, field by field, as Discord nests it."""

    def __init__(self) -> None:
        self._tree: Json = {}

    def add(self, path: Path, code: str, message: str) -> None:
        node: Json = self._tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def require(self, fine: object, path: Path, message: str) -> bool:
        """A rule with no code of its own."""
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
        if not least <= len(items) <= most:
            limits = f"between {least} and {most}" if least else f"{most} or fewer"
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be {limits} in length.")

    def raise_any(self) -> None:
        if self._tree:
            raise ApiError(400, 50035, "Invalid Form Body", self._tree)


def invalid_form(path: Path, message: str) -> ApiError:
    """One thing wrong with a form."""
    errors = FormErrors()
    errors.add(path, "BASE_TYPE_INVALID", message)
    return ApiError(400, 50035, "Invalid Form Body", errors._tree)
