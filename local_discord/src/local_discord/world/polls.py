"""A poll in a message: a question, its answers, and who has voted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from local_discord.wire import Json

_HOURS = 24


@dataclass(eq=False)
class Poll:
    """From a valid form. It ends when its author says so, and not by itself."""

    form: Json
    ends_at: str = field(init=False)
    is_over: bool = False
    votes: dict[int, set[int]] = field(init=False)
    """By answer, counted from 1, the ids of the users who chose it."""

    def __post_init__(self) -> None:
        self.ends_at = (datetime.now(UTC) + timedelta(hours=self.form.get("duration") or _HOURS)).isoformat()
        self.votes = {number: set() for number in range(1, len(self.form["answers"]) + 1)}

    @property
    def takes_several(self) -> bool:
        """Whether one user may choose several answers."""
        return bool(self.form.get("allow_multiselect"))

    def payload(self, bot_id: int) -> Json:
        """As a message shows it to the bot."""
        answers = [
            {"answer_id": number, "poll_media": answer["poll_media"]}
            for number, answer in enumerate(self.form["answers"], start=1)
        ]
        counts = [
            {"id": number, "count": len(users), "me_voted": bot_id in users} for number, users in self.votes.items()
        ]
        return {
            "question": self.form["question"],
            "answers": answers,
            "expiry": self.ends_at,
            "allow_multiselect": self.takes_several,
            "layout_type": self.form.get("layout_type") or 1,
            "results": {"is_finalized": self.is_over, "answer_counts": counts},
        }
