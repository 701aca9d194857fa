"""What a user may be told: every expected failure, with a stable code and one sentence to act on.

Anything that is not a `SandboxError` is a bug: it is logged once, and the user gets a reference.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from enum import StrEnum

from bot import constants
from bot.i18n import Translatable
from sandbox_worker.text import plain

_SHOWN = 100
"""Characters of what somebody has typed, in an answer: more than any name or id has."""


class SandboxError(Exception):
    """An expected failure. `str(error)` is a sentence that may be shown; `code` is stable for scripts.

    `sentence` and the `data` in its `{places}` make it in other languages.
    """

    code = "SANDBOX_000"

    def __init__(self, sentence: str, **data: object) -> None:
        self.sentence, self.data = sentence, data
        super().__init__(sentence.format(**data) if data else sentence)

    @property
    def shortage(self) -> ServiceUnavailable | None:
        """What has failed for it, if that was a service that has no more of something."""
        cause = self.__cause__
        return cause if isinstance(cause, ServiceUnavailable) and cause.lack is not None else None


class NameTaken(SandboxError):
    """A living sandbox, anybody's, has that name."""

    code = "SANDBOX_001"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__("A sandbox named “{name}” exists already. Choose another name.", name=name)


class QuotaReached(SandboxError):
    """The owner has as many sandboxes as `[sandboxes] max_per_owner` allows."""

    code = "SANDBOX_002"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            "You have {limit} of {limit} sandboxes. Destroy one with `/sandbox destroy` first.", limit=limit
        )


class GuildTaken(SandboxError):
    """The guild belongs to another sandbox. Its name is not told: it may be somebody else's."""

    code = "SANDBOX_003"

    def __init__(self, guild_id: int) -> None:
        self.guild_id = guild_id
        super().__init__(
            "Server {guild_id} is bound to another sandbox. "
            "Its owner, an admin, or in the server whoever has “Manage Server” there, can free it with "
            "`/sandbox unbind-guild`.",
            guild_id=guild_id,
        )


class SandboxNotFound(SandboxError):
    """No living sandbox has that name or id; where destroyed ones are looked at, no sandbox at all has that id."""

    code = "SANDBOX_004"

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        super().__init__("There is no sandbox “{wanted}”. `/sandbox list` shows yours.", wanted=plain(wanted[:_SHOWN]))


class GuildNotBound(SandboxError):
    """The guild is bound to no sandbox, or was just unbound. Shares its code with `SandboxNotFound`."""

    code = "SANDBOX_004"

    def __init__(self, guild_id: int) -> None:
        self.guild_id = guild_id
        super().__init__("Server {guild_id} is not bound to a sandbox.", guild_id=guild_id)


class ProvisioningFailed(SandboxError):
    """A step of a creation failed; the teardown has begun, and the reaper ends it. The cause is in the log."""

    code = "SANDBOX_005"

    def __init__(self, name: str, step: str) -> None:
        self.name, self.step = name, step
        super().__init__(
            "Sandbox “{name}” could not be set up ({step} failed) and is being removed. Try again in a minute.",
            name=name,
            step=step,
        )


class CleanupFailed(SandboxError):
    """Some steps of a teardown failed; nothing reaches the sandbox any more, and the reaper tries again."""

    code = "SANDBOX_006"

    def __init__(self, name: str, steps: Iterable[str]) -> None:
        self.name, self.steps = name, tuple(steps)
        super().__init__(
            "Sandbox “{name}” is cut off, but not everything is removed yet ({steps}). "
            "The bot goes on trying; nothing is left for you to do.",
            name=name,
            steps=", ".join(self.steps),
        )


class ResetFailed(SandboxError):
    """A step of a reset failed. The sandbox goes on, with what the step has left; resetting it again is safe."""

    code = "SANDBOX_006"

    def __init__(self, name: str, step: str) -> None:
        self.name, self.step = name, step
        super().__init__(
            "Sandbox “{name}” is not reset, or not wholly ({step} failed). Stop its workers and reset it again.",
            name=name,
            step=step,
        )


class CleanupRefused(SandboxError):
    """Everything looks orphaned: more likely the bot looks at the wrong table of sandboxes."""

    code = "SANDBOX_006"

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            "Nothing seems to belong to a living sandbox: all {count} things look orphaned, so none was dropped. "
            "Check that this is the right database, then force the sweep.",
            count=count,
        )


class InvalidTransition(SandboxError):
    """The sandbox's status allows no such change. `wanted` is a participle: extended, destroyed."""

    code = "SANDBOX_007"

    def __init__(self, name: str, status: str, wanted: str) -> None:
        self.name, self.status, self.wanted = name, status, wanted
        super().__init__(
            "Sandbox “{name}” is {status} and cannot be {wanted}. `/sandbox list` shows its state.",
            name=name,
            status=Translatable(status),
            wanted=Translatable(wanted),
        )


class InvalidInput(SandboxError):
    """What somebody typed is no duration, id or name. The sentence says how one is written."""

    code = "SANDBOX_008"


class NotAllowed(SandboxError):
    """Neither the owner nor an admin, or without the right in Discord that it takes."""

    code = "SANDBOX_009"


class SandboxHidden(SandboxNotFound, NotAllowed):
    """A sandbox of somebody else's, who tells nobody its name: it is answered as one that is not there."""


class Lack(StrEnum):
    """What a service has no more of, as a phrase. It goes on by itself as soon as it has some again."""

    DISK = "room on its disk"
    MEMORY = "memory"
    STORAGE = "storage within its limits"
    DESCRIPTORS = "file descriptors"
    CONNECTIONS = "connections"


_LACKS = {
    errno.ENOSPC: Lack.DISK,
    errno.EDQUOT: Lack.DISK,
    errno.ENOMEM: Lack.MEMORY,
    errno.EMFILE: Lack.DESCRIPTORS,
    errno.ENFILE: Lack.DESCRIPTORS,
}


class ServiceUnavailable(SandboxError):
    """A service cannot be used. `detail` is one line for the operator and never holds a secret. `lack`: it answers, and
    has no more of something."""

    code = "SANDBOX_010"

    def __init__(self, service: str, detail: str = "", *, lack: Lack | None = None) -> None:
        self.service, self.detail = service, " ".join(detail.split())[: constants.ERROR_DETAIL_CHARS]
        self.lack = lack
        if lack is None:
            super().__init__("{service} is not reachable at the moment. Try again in a minute.", service=service)
        else:
            super().__init__(
                "{service} has no {lack} left. It goes on by itself as soon as it has some; an admin may have to help.",
                service=service,
                lack=Translatable(lack),
            )

    @staticmethod
    def because(
        service: str, error: BaseException, detail: str | None = None, *, lack: Lack | None = None
    ) -> ServiceUnavailable:
        """Of what a question to a service has ended in. It is the bot that lacks something if its own process does."""
        detail = detail or repr(error)
        own = lack_of(error)
        if own is not None:
            return ServiceUnavailable(Translatable("The bot"), f"{service}: {detail}", lack=own)
        return ServiceUnavailable(service, detail, lack=lack)

    @property
    def problem(self) -> str:
        """What is the matter with the service, for an operator: a phrase that goes on after its name."""
        return "is not reachable" if self.lack is None else f"has no {self.lack} left"


class RestoreUnsettled(SandboxError):
    """PostgreSQL was restored from a backup, and may not know what it has handed out or taken back since."""

    code = "SANDBOX_011"

    def __init__(self) -> None:
        super().__init__(
            "The bot's database was restored from a backup. Nothing is handed out until an admin has run "
            "`sandbox-bot settle-restore`."
        )


def lack_of(error: BaseException | None) -> Lack | None:
    """What the system has no more of for this process, by its own error, also where a library has wrapped that; None if
    it says no such thing."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _LACKS:
            return _LACKS[error.errno]
        error = error.__cause__ or error.__context__
    return None
