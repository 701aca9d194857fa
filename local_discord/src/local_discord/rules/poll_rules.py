"""What Discord accepts as a poll."""

from __future__ import annotations

from typing import Any

from local_discord.errors import FormErrors, Path

_MOST_HOURS = 768


def check_poll(form: Any) -> None:
    """An `ApiError` that names every fault."""
    errors, path = FormErrors(), ("poll",)
    if not errors.require(isinstance(form, dict), path, "Only dictionaries may be used in this field."):
        errors.raise_any()
    _check_text(errors, (*path, "question"), form.get("question"), 300)
    answers = form.get("answers")
    if errors.require(isinstance(answers, list), (*path, "answers"), "This field is required"):
        errors.check_count((*path, "answers"), answers, 10, least=1)
        for index, answer in enumerate(answers):
            media = answer.get("poll_media") if isinstance(answer, dict) else None
            _check_text(errors, (*path, "answers", index, "poll_media"), media, 55)
    hours = form.get("duration")
    # discord.py sends a float.
    fine = hours is None or (type(hours) in (int, float) and 1 <= hours <= _MOST_HOURS)
    errors.require(fine, (*path, "duration"), f"int value should be between 1 and {_MOST_HOURS}.")
    errors.raise_any()


def _check_text(errors: FormErrors, path: Path, media: Any, most: int) -> None:
    if errors.require(isinstance(media, dict), path, "This field is required"):
        errors.check_text((*path, "text"), media.get("text"), most, least=1, required=True)
