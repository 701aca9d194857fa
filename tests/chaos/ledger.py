"""Which operations were asked for, under which key, and what came of each."""

from __future__ import annotations

from collections import Counter
from random import Random

from bot.stores.postgres import Pool
from tests.faults.operations import CHANGES, Job
from tests.faults.processes import KILLED

_OPEN = {KILLED, "SANDBOX_005", "SANDBOX_006", "SANDBOX_010"}
"""Whoever asked does not know whether it was done, or was told to ask again."""
_EVENTS = CHANGES | {"destroy": "sandbox_destroying"}  # for which the reaper may do the rest
_LATEST = 20
_COUNT = """
SELECT details ->> 'operator' AS account, event_type, count(*) FROM sandbox_audit_log
 WHERE details ? 'operator' GROUP BY 1, 2
"""


class Ledger:
    """Every job has a key of its own; who asks again does so with the same one."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._accepted: set[int] = set()
        self._open: dict[int, Job] = {}
        self.outcomes: Counter[str] = Counter()
        self.repeats = 0

    def next_key(self) -> int:
        return 10**18 + len(self._jobs) + 1

    def begin(self, job: Job) -> None:
        """Once for each time that it is asked for."""
        assert job.key is not None
        self.repeats += job.key in self._jobs
        self._jobs[job.key] = job

    def end(self, job: Job, outcome: str) -> None:
        assert job.key is not None
        self.outcomes[outcome] += 1
        if outcome in _OPEN:
            self._open[job.key] = job
        else:
            self._open.pop(job.key, None)
        if outcome == "":
            self._accepted.add(job.key)

    def open_jobs(self) -> list[Job]:
        """Those whose last answer left it open."""
        return list(self._open.values())

    def any_of_the_latest(self, chooser: Random) -> Job | None:
        """One that was asked for before, and perhaps is being done at this moment."""
        latest = list(self._jobs.values())[-_LATEST:]
        return chooser.choice(latest) if latest else None

    async def check(self, pool: Pool) -> None:
        """What was accepted stands in the audit log once, and nothing twice."""
        found = {(row["account"], row["event_type"]): row["count"] for row in await pool.fetch(_COUNT)}
        for key, job in self._jobs.items():
            if job.operation in _EVENTS:
                count = found.get((job.account, _EVENTS[job.operation]), 0)
                assert count <= 1, f"{job} was done {count} times"
                # Who binds what is bound to that sandbox already changes nothing.
                assert count == 1 or key not in self._accepted or job.operation == "bind", f"{job} was accepted only"
