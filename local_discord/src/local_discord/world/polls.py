"""A poll in a message: a question, its answers, and who has voted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from local_discord.wire import Json

_HOURS = 24


@dataclass(eq=False)
class Poll:
    """From a valid form. It ends when its author says so, or the clock is moved past its end."""

    form: Json
    begins_at: datetime
    ends_at: str = field(init=False)
    is_over: bool = False
    votes: dict[int, set[int]] = field(init=False)
    """By answer, counted from 1, the ids of the users who chose it."""

    def __post_init__(self) -> None:
        self.ends_at = (self.begins_at + timedelta(hours=self.form.get("duration") or _HOURS)).isoformat()
        self.votes = {number: set() for number in range(1, len(self.form["answers"]) + 1)}

    @property
    def takes_several(self) -> bool:
        """Whether one user may choose several answers."""
        return bool(self.form.get("allow_multiselect"))

    def result(self) -> Json:
        """The embed that tells how it ended; without a winner if nobody has voted, or as many for another answer."""
        counts = {number: len(users) for number, users in self.votes.items()}
        most = max(counts.values())
        told = {"poll_question_text": self.form["question"].get("text"), "victor_answer_votes": most}
        told["total_votes"] = sum(counts.values())
        winners = [number for number, votes in counts.items() if votes == most]
        if most and len(winners) == 1:
            text = self.form["answers"][winners[0] - 1]["poll_media"].get("text")
            told |= {"victor_answer_id": winners[0], "victor_answer_text": text}
        fields = [{"name": name, "value": str(value), "inline": False} for name, value in told.items()]
        return {"type": "poll_result", "fields": fields}

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
