"""Which of Discord's operations the local Discord serves, as a page.

    python -m tools.operations_table

Writes `docs/local-discord.md` anew. A test fails as long as the page and the code disagree.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import groupby
from pathlib import Path

from local_discord import LocalDiscord
from local_discord.http.operations import OPERATIONS, Operation
from local_discord.http.routes import ALWAYS_THE_SAME

PAGE = Path(__file__).parents[1] / "docs" / "local-discord.md"

_BEGINNING = """\
# What the local Discord serves

Of the {total} operations in Discord's own list it serves {served}; {constant} of these have one answer whatever
happens, and the table says so. The others are answered with 501 and their name, which stands in the log and, with how
often it was asked for, in `LocalDiscord.missed`. What is not in the list is answered with 404, or with 405 if only the
method isn't.

## How strict it is

- **Addresses.** `/api`, `/api/v9` and `/api/v10` are the same; any other version is 400 (50041). An id that is no
  snowflake is 400 (50035). The gateway takes `v=9` and `v=10`. Whatever a page in a browser asks, with an `Origin` or
  by a name that somebody has lead here, is 403, also the gateway: tokens here are no secrets.
- **Bodies** are JSON, multipart or urlencoded, the latter two with `payload_json` or with plain fields. Any other
  content type is 400 (50035), as at Discord.
- **Unknown fields** of a form are 400 (50035), and named. Discord ignores most of them; here a slip of the pen
  should be found. What is looked at is the outermost level of those operations that have fields below.
  `settings.refuses_unknown_fields = False` ignores them. Fields of things within, such as embeds and overwrites,
  and what is set on a channel of a kind that doesn't have it, are ignored as Discord ignores them. Commands have
  rules of their own.
- **Known fields** are checked by Discord's limits, and refused with its codes (50035 and a place for each fault).
- **Permissions** hold for the bot and for people: without sight of a place 50001, without the permission 50013; a
  person's `UsageError` has it as `code`. Roles are ordered: one changes only roles, and members whose highest role is,
  below one's own. A guild's overwrites count for roles before members, and for threads by their channel. During a
  time-out a member only reads. Of a channel that it does not see the bot hears that it is there, and not what happens.
- **Commands** are offered by what they ask for (`default_member_permissions`, contexts) and by what a moderator has set
  (`Person.permit_command`), which the bot can read and, as at Discord, not set.
- **Components** of messages and modals are checked kind by kind, those of version 2 too, and named by their place.
- **The audit log** has what the bot and people do by this API and these calls, with `X-Audit-Log-Reason`. What a test
  does to a guild by itself (`guild.ban`) has nobody to be written down.
- **Rate limits.** Each answer tells of its bucket: one for each operation on each guild, channel, webhook or
  interaction. `settings.rate_limit` (1,000 in a second), `settings.rate_limits` (of single operations) and
  `settings.global_rate_limit` (10,000 in a second) say how much it holds; more is 429 with `Retry-After`,
  `X-RateLimit-Scope` and `Via`.
- **Not played**: what pictures and sounds contain, voice (nobody is connected), what moderation rules and events
  would do, what a guild's onboarding leads to. Threads fall asleep, invites expire and polls end only when the clock is
  moved (`LocalDiscord.advance`).

## Operations

"Fields" are those of the form, on its outermost level.
"""


def page() -> str:
    """The whole page, as it should be."""
    served = LocalDiscord().served
    lines = [_BEGINNING.format(total=len(OPERATIONS), served=len(served), constant=len(ALWAYS_THE_SAME))]
    for topic, operations in groupby(sorted(OPERATIONS.values(), key=_order), key=_topic):
        lines += [f"### /{topic}", "", "| operation | | fields |", "|---|---|---|"]
        for operation in operations:
            state = _state(operation.name, served)
            lines.append(f"| `{operation.name}` | {state} | {' '.join(sorted(operation.fields))} |")
        lines.append("")
    return "\n".join(lines)


def _state(name: str, served: Container[str]) -> str:
    if name in ALWAYS_THE_SAME:
        return "served, always the same"
    return "served" if name in served else "501"


def _topic(operation: Operation) -> str:
    return operation.name.split("/")[1]


def _order(operation: Operation) -> tuple[str, ...]:
    method, path = operation.name.split(" ")
    return (_topic(operation), path, method)


if __name__ == "__main__":
    PAGE.write_text(page())
