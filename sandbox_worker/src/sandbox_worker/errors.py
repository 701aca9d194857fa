"""What a worker may be told: each a sentence that says what to do."""

from __future__ import annotations

from typing import Literal

EndReason = Literal["expired", "refused", "gone"]

_LONGEST_DETAIL = 600
_LONGEST_QUOTE = 40


class WorkerError(Exception):
    """An expected failure. `str(error)` is a sentence that may be shown; `code` is stable for scripts, and the one that
    the bot uses for the like."""

    code = "SANDBOX_000"


class WrongEnvironment(WorkerError):
    """The variables are not those of a sandbox, or not all of them."""

    code = "SANDBOX_008"


class MissingExtra(WorkerError):
    """A part of the kit is used whose driver is not installed. `extra` is the name to install it by."""

    code = "SANDBOX_008"

    def __init__(self, what: str, driver: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs {driver}, which is not installed: pip install 'sandbox-worker[{extra}]'")


class WrongDuration(WorkerError):
    """Not a duration as `parse_duration` reads one. `sentence` has the place `{text}`, so that it can be translated."""

    code = "SANDBOX_008"

    def __init__(self, sentence: str, text: str) -> None:
        self.sentence, self.text = sentence, text[:_LONGEST_QUOTE]
        super().__init__(sentence.format(text=self.text))


class CommandNotFound(WorkerError):
    """What `run` was to start is no program, or cannot be started; `detail` is the system's own word."""

    code = "SANDBOX_008"

    def __init__(self, command: str, detail: str = "") -> None:
        self.command = command[:_LONGEST_QUOTE]
        because = detail or "there is no such program"
        super().__init__(f"“{self.command}” cannot be run: {because}. Give it as you would type it without this.")


class ClientMissing(CommandNotFound):
    """None of the programs that would do is installed."""

    def __init__(self, programs: tuple[str, ...], packages: str) -> None:
        WorkerError.__init__(self, f"There is no {' and no '.join(programs)} on PATH. Install one: {packages}.")


class NamespaceRefused(WorkerError):
    """The machine gives this user no namespace; `detail` is its own word."""

    code = "SANDBOX_008"

    def __init__(self, detail: str) -> None:
        super().__init__(
            "This program would need a network namespace to be led to the relay, and this machine gives none "
            f"({detail}). If it starts Python or Node, add --hooks; if it can be pointed at the relay, --address."
        )


class ServiceUnavailable(WorkerError):
    """A service cannot be used. `detail` is one line for the developer and never holds a secret."""

    code = "SANDBOX_010"

    def __init__(self, service: str, detail: str = "") -> None:
        self.service, self.detail = service, " ".join(detail.split())[:_LONGEST_DETAIL]
        super().__init__(f"{service} is not reachable at the moment. Try again in a minute.")


class DiscordUnavailable(ServiceUnavailable):
    """Discord gave no definite answer, however often it was asked. `detail` is its status or the connection's error."""

    def __init__(self, detail: str, tries: int, seconds: float) -> None:
        self.tries, self.seconds = tries, seconds
        super().__init__("Discord", detail)

    def __str__(self) -> str:
        tried = "tried once" if self.tries == 1 else f"tried {self.tries} times in {self.seconds:.1f} s"
        return f"Discord is not reachable or has trouble ({self.detail}): {tried}. discordstatus.com says which."


class CertificateRefused(ServiceUnavailable):
    """A server's certificate is not trusted, or is for another name; `detail` says why, and what to do."""

    def __str__(self) -> str:
        return f"{self.service} is not used, for its certificate is refused: {self.detail}."


class TooManyConnections(ServiceUnavailable):
    """The sandbox has as many connections to NATS as it may have."""

    def __init__(self) -> None:
        super().__init__("NATS", TOO_MANY)

    def __str__(self) -> str:
        return f"NATS lets no more of the sandbox's workers in: {self.detail}."


TOO_MANY = (
    "too many connections; the sandbox has all that it may have. End one of its workers, or ask whoever operates the "
    "bot for a higher isolation.max_connections"
)


class ReplayRefused(WorkerError):
    """The bot does not play the events again; the sentence is the bot's."""

    code = "SANDBOX_008"


class SandboxEnded(WorkerError):
    """The sandbox is over for this worker: another start with the same environment ends in the same way."""

    code = "SANDBOX_004"

    def __init__(self, name: str, reason: EndReason) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"Sandbox “{name}” {_ENDINGS[reason]}")


_ENDINGS = {
    "expired": "has expired. `/sandbox extend` brings it back during its grace time; then start the worker again.",
    "refused": "lets this worker in no more: destroyed, expired or new credentials; or, with an older configuration of "
    "NATS, too many connections. `/sandbox list` shows whether it runs, `/sandbox connect` hands out its credentials "
    "anew.",
    "gone": "has no stream of events any more: it was destroyed. `/sandbox create` makes a new one.",
}


class InteractionFailed(WorkerError):
    """Discord did not take an answer to an interaction. `status` is the HTTP status, `discord_code` Discord's own."""

    code = "SANDBOX_008"

    def __init__(self, status: int, discord_code: int, message: str) -> None:
        self.status, self.discord_code = status, discord_code
        super().__init__(_FAILURES.get(discord_code) or f"Discord refuses the answer ({status}): {message}")


_FAILURES = {
    10062: "Too late: Discord waits 3 seconds for the first answer. Answer with defer() first, then with edit_reply().",
    10015: "There is no answer yet to go on with, or it is older than 15 minutes. Begin with reply() or defer().",
    40060: "The interaction has been answered already. Go on with edit_reply() or follow_up().",
    50027: "Too late: an interaction can be gone on with for 15 minutes.",
}


class NotAnInteraction(WorkerError):
    """An event was to be answered that asks nothing; or one that did not fit, of which there is only a stub."""

    code = "SANDBOX_008"

    def __init__(self, event: str) -> None:
        super().__init__(f"{event} cannot be answered; only INTERACTION_CREATE can.")


class UnsupportedCommand(WorkerError):
    """Sent as it is, the Redis command would reach keys outside the sandbox."""

    code = "SANDBOX_009"

    def __init__(self, command: str) -> None:
        self.command = command
        super().__init__(
            f"{command} is not for sandboxes: it works on keys of others, or it is not known where its keys are. "
            "Keep an index of your keys in a set or a hash."
        )
