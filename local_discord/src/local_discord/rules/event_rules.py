"""What Discord accepts as a scheduled event."""

from __future__ import annotations

from datetime import UTC, datetime

from local_discord.errors import ApiError, FormErrors
from local_discord.wire import Json

EXTERNAL = 3
_SCHEDULED, _ACTIVE, _COMPLETED, _CANCELED = 1, 2, 3, 4
_NEXT = {_SCHEDULED: (_ACTIVE, _CANCELED), _ACTIVE: (_COMPLETED,)}
_TIMES = ("scheduled_start_time", "scheduled_end_time")
_PAST = "GUILD_SCHEDULED_EVENT_SCHEDULE_PAST"
_REQUIRED = "This field is required"


def check_event(before: Json, after: Json) -> None:
    """An `ApiError` for one that is nowhere, begins in the past or ends before it begins, and for one that is over."""
    status = before.get("status")
    if before and status not in _NEXT:
        raise ApiError(400, 180000, "Cannot update a finished event")
    errors = FormErrors()
    _check_status(errors, status, after["status"])
    _check_place(errors, after)
    _check_times(errors, before, after)
    errors.raise_any()


def _check_status(errors: FormErrors, before: int | None, after: int) -> None:
    fine = after in (before, *_NEXT[before]) if before else after == _SCHEDULED
    if not fine:
        errors.add(("status",), "BASE_TYPE_CHOICES", "An event cannot come to that from where it is.")


def _check_place(errors: FormErrors, event: Json) -> None:
    if event["entity_type"] != EXTERNAL:
        if event["channel_id"] is None:
            errors.add(("channel_id",), "BASE_TYPE_REQUIRED", _REQUIRED)
        return
    if not (event["entity_metadata"] or {}).get("location"):
        errors.add(("entity_metadata", "location"), "BASE_TYPE_REQUIRED", _REQUIRED)
    if event["scheduled_end_time"] is None:
        errors.add(("scheduled_end_time",), "BASE_TYPE_REQUIRED", _REQUIRED)
    errors.require(event["channel_id"] is None, ("channel_id",), "An event elsewhere has no channel.")


def _check_times(errors: FormErrors, before: Json, after: Json) -> None:
    begins, ends = (after[key] and datetime.fromisoformat(after[key]) for key in _TIMES)
    if begins is None:
        errors.add(("scheduled_start_time",), "BASE_TYPE_REQUIRED", _REQUIRED)
        return
    if before.get("scheduled_start_time") != after["scheduled_start_time"] and begins < datetime.now(UTC):
        errors.add(("scheduled_start_time",), _PAST, "Cannot schedule event in the past.")
    if ends is not None and ends <= begins:
        errors.add(("scheduled_end_time",), "BASE_TYPE_INVALID", "An event ends after it begins.")
