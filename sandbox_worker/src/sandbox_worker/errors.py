"""What a worker may be told: each a sentence that says what to do."""

from __future__ import annotations

from typing import Literal

from bot.errors import SandboxError

Ending = Literal["expired", "refused", "gone"]


class WrongEnvironment(SandboxError):
    """The variables are not those of a sandbox, or not all of them."""

    code = "SANDBOX_008"


class SandboxEnded(SandboxError):
    """The sandbox is over for this worker: another start with the same environment ends in the same way."""

    code = "SANDBOX_004"

    def __init__(self, name: str, reason: Ending) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"Sandbox “{name}” {_ENDINGS[reason]}")


_ENDINGS = {
    "expired": "has expired. `/sandbox extend` brings it back during its grace time; then start the worker again.",
    "refused": "lets this worker in no more: destroyed, expired or new credentials. `/sandbox list` shows whether it "
    "runs, `/sandbox connect` hands out its credentials anew.",
    "gone": "has no stream of events any more: it was destroyed. `/sandbox create` makes a new one.",
}


class InteractionFailed(SandboxError):
    """Discord did not take an answer to an interaction. `status` is the HTTP status, `discord_code` Discord's own."""

    code = "SANDBOX_008"

    def __init__(self, status: int, discord_code: int, message: str) -> None:
        self.status, self.discord_code = status, discord_code
        super().__init__(_FAILURES.get(discord_code) or f"Discord refuses the answer ({status}): {message}")


class NoInteraction(SandboxError):
    code = "SANDBOX_008"

    def __init__(self, event: str) -> None:
        super().__init__(f"{event} cannot be answered; only INTERACTION_CREATE can.")


class UnknownKeys(SandboxError):
    """Sent as it is, the command would reach keys outside the sandbox."""

    code = "SANDBOX_009"

    def __init__(self, command: str) -> None:
        self.command = command
        super().__init__(
            f"{command} is not for sandboxes: it works on keys of others, or it is not known where its keys are. "
            "Keep an index of your keys in a set or a hash."
        )


_FAILURES = {
    10062: "Too late: Discord waits 3 seconds for the first answer. Answer with defer() first, then with edit_reply().",
    10015: "There is no answer yet to go on with, or it is older than 15 minutes. Begin with reply() or defer().",
    40060: "The interaction has been answered already. Go on with edit_reply() or follow_up().",
    50027: "Too late: an interaction can be gone on with for 15 minutes.",
}
