"""Every operation of Discord's HTTP API, and by which rule a sandbox's bot may ask for it. Pure.

Sub-resources stand here one by one: a pattern for all that is below a path lets odd paths through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.relay.http.rules import Rule

_TABLE = """
GET                   /gateway                                                        gateway
GET                   /gateway/bot                                                    gateway
GET                   /users/@me                                                      user
GET                   /applications/@me                                               application
GET                   /oauth2/applications/@me                                        application
GET                   /users/@me/guilds                                               guilds
POST                  /users/@me/channels                                             direct channel
GET                   /users/{user}                                                   open
GET                   /invites/{code}                                                 open
GET                   /sticker-packs                                                  open
GET                   /sticker-packs/{pack}                                           open
GET                   /stickers/{sticker}                                             sticker
GET                   /voice/regions                                                  open
GET                   /soundboard-default-sounds                                      open
GET                   /applications/{application}/emojis                              open
GET                   /applications/{application}/emojis/{emoji}                      open
GET                   /applications/{application}                                     application

GET PUT POST          /applications/{application}/commands                            commands
GET DELETE PATCH      /applications/{application}/commands/{command}                  commands
GET PUT POST          /applications/{application}/guilds/{guild}/commands             guild commands
GET DELETE PATCH      /applications/{application}/guilds/{guild}/commands/{command}   guild commands
GET                   /applications/{application}/guilds/{guild}/commands/permissions command permissions
GET                   /applications/{application}/guilds/{guild}/commands/{command}/permissions command permissions

GET DELETE PATCH      /channels/{channel}                                             guild channel
POST                  /channels/{channel}/followers                                   follow
GET POST              /channels/{channel}/invites                                     guild channel
GET                   /channels/{channel}/messages                                    guild channel
POST                  /channels/{channel}/messages                                    post message
POST                  /channels/{channel}/messages/bulk-delete                        change message
GET                   /channels/{channel}/messages/pins                               guild channel
PUT DELETE            /channels/{channel}/messages/pins/{message}                     guild channel
GET                   /channels/{channel}/messages/{message}                          guild channel
DELETE PATCH          /channels/{channel}/messages/{message}                          change message
POST                  /channels/{channel}/messages/{message}/crosspost                change message
DELETE                /channels/{channel}/messages/{message}/reactions                guild channel
GET DELETE            /channels/{channel}/messages/{message}/reactions/{emoji}        guild channel
PUT DELETE            /channels/{channel}/messages/{message}/reactions/{emoji}/@me    guild channel
DELETE                /channels/{channel}/messages/{message}/reactions/{emoji}/{user} guild channel
POST                  /channels/{channel}/messages/{message}/threads                  guild channel
PUT DELETE            /channels/{channel}/permissions/{overwrite}                     guild channel
GET                   /channels/{channel}/pins                                        guild channel
PUT DELETE            /channels/{channel}/pins/{message}                              guild channel
GET                   /channels/{channel}/polls/{message}/answers/{answer}            guild channel
POST                  /channels/{channel}/polls/{message}/expire                      change message
POST                  /channels/{channel}/send-soundboard-sound                       guild channel
GET                   /channels/{channel}/thread-members                              guild channel
PUT DELETE            /channels/{channel}/thread-members/@me                          guild channel
GET PUT DELETE        /channels/{channel}/thread-members/{user}                       guild channel
POST                  /channels/{channel}/threads                                     new thread
GET                   /channels/{channel}/threads/archived/private                    guild channel
GET                   /channels/{channel}/threads/archived/public                     guild channel
GET                   /channels/{channel}/threads/search                              guild channel
POST                  /channels/{channel}/typing                                      channel
GET                   /channels/{channel}/users/@me/threads/archived/private          guild channel
PUT                   /channels/{channel}/voice-status                                guild channel
GET                   /channels/{channel}/webhooks                                    guild channel
POST                  /channels/{channel}/webhooks                                    new webhook

GET PATCH             /guilds/{guild}                                                 guild
GET                   /guilds/{guild}/audit-logs                                      guild
GET POST              /guilds/{guild}/auto-moderation/rules                           guild
GET DELETE PATCH      /guilds/{guild}/auto-moderation/rules/{rule}                    guild
GET                   /guilds/{guild}/bans                                            guild
GET PUT DELETE        /guilds/{guild}/bans/{user}                                     member
POST                  /guilds/{guild}/bulk-ban                                        guild
GET POST PATCH        /guilds/{guild}/channels                                        guild
GET POST              /guilds/{guild}/emojis                                          guild
GET DELETE PATCH      /guilds/{guild}/emojis/{emoji}                                  guild
PUT                   /guilds/{guild}/incident-actions                                guild
GET                   /guilds/{guild}/integrations                                    guild
GET                   /guilds/{guild}/invites                                         guild
GET                   /guilds/{guild}/members                                         guild
PATCH                 /guilds/{guild}/members/@me                                     guild
GET                   /guilds/{guild}/members/search                                  guild
GET PATCH             /guilds/{guild}/members/{user}                                  guild
DELETE                /guilds/{guild}/members/{user}                                  member
PUT DELETE            /guilds/{guild}/members/{user}/roles/{role}                     guild
GET                   /guilds/{guild}/messages/search                                 guild
GET                   /guilds/{guild}/new-member-welcome                              guild
GET PUT               /guilds/{guild}/onboarding                                      guild
GET                   /guilds/{guild}/preview                                         guild
GET                   /guilds/{guild}/prune                                           guild
GET                   /guilds/{guild}/regions                                         guild
GET                   /guilds/{guild}/requests                                        guild
PATCH                 /guilds/{guild}/requests/{request}                              guild
GET POST PATCH        /guilds/{guild}/roles                                           guild
GET                   /guilds/{guild}/roles/member-counts                             guild
GET DELETE PATCH      /guilds/{guild}/roles/{role}                                    guild
GET POST              /guilds/{guild}/scheduled-events                                guild
GET DELETE PATCH      /guilds/{guild}/scheduled-events/{event}                        guild
POST                  /guilds/{guild}/scheduled-events/{event}/exceptions             guild
DELETE PATCH          /guilds/{guild}/scheduled-events/{event}/exceptions/{exception} guild
GET                   /guilds/{guild}/scheduled-events/{event}/users                  guild
GET                   /guilds/{guild}/scheduled-events/{event}/users/counts           guild
GET                   /guilds/{guild}/scheduled-events/{event}/{exception}/users      guild
GET POST              /guilds/{guild}/soundboard-sounds                               guild
GET DELETE PATCH      /guilds/{guild}/soundboard-sounds/{sound}                       guild
GET POST              /guilds/{guild}/stickers                                        guild
GET DELETE PATCH      /guilds/{guild}/stickers/{sticker}                              guild
GET POST              /guilds/{guild}/templates                                       guild
PUT DELETE PATCH      /guilds/{guild}/templates/{code}                                guild
GET                   /guilds/{guild}/threads/active                                  guild
GET                   /guilds/{guild}/vanity-url                                      guild
GET PATCH             /guilds/{guild}/voice-states/@me                                guild
GET PATCH             /guilds/{guild}/voice-states/{user}                             guild
GET                   /guilds/{guild}/webhooks                                        guild
GET PATCH             /guilds/{guild}/welcome-screen                                  guild
GET PATCH             /guilds/{guild}/widget                                          guild
GET                   /guilds/{guild}/widget.json                                     guild
GET                   /guilds/{guild}/widget.png                                      guild

POST                  /stage-instances                                                stage
GET DELETE PATCH      /stage-instances/{channel}                                      guild channel

POST                  /interactions/{interaction}/{token}/callback                    callback
GET DELETE PATCH      /webhooks/{webhook}                                             webhook
GET POST DELETE PATCH /webhooks/{webhook}/{token}                                     token
POST                  /webhooks/{webhook}/{token}/github                              token
POST                  /webhooks/{webhook}/{token}/slack                               token
GET DELETE PATCH      /webhooks/{webhook}/{token}/messages/@original                  token
GET DELETE PATCH      /webhooks/{webhook}/{token}/messages/{message}                  token

PATCH                 /users/@me                                                      refused
PATCH                 /applications/@me                                               refused
PATCH                 /applications/{application}                                     refused
GET                   /applications/{application}/activity-instances/{instance}       refused
POST                  /applications/{application}/attachment                          refused
POST                  /applications/{application}/emojis                              refused
DELETE PATCH          /applications/{application}/emojis/{emoji}                      refused
GET POST              /applications/{application}/entitlements                        refused
GET DELETE            /applications/{application}/entitlements/{entitlement}          refused
POST                  /applications/{application}/entitlements/{entitlement}/consume  refused
PUT                   /applications/{application}/guilds/{guild}/commands/{command}/permissions refused
GET PUT               /applications/{application}/role-connections/metadata           refused
PUT DELETE            /channels/{channel}/recipients/{user}                           refused
GET                   /guilds/templates/{code}                                        refused
DELETE                /guilds/{guild}/integrations/{integration}                      refused
PUT                   /guilds/{guild}/members/{user}                                  refused
POST                  /guilds/{guild}/prune                                           refused
DELETE                /invites/{code}                                                 refused
GET PUT               /invites/{code}/target-users                                    refused
GET                   /invites/{code}/target-users/job-status                         refused
PUT POST              /lobbies                                                        refused
GET DELETE PATCH      /lobbies/{lobby}                                                refused
PATCH                 /lobbies/{lobby}/channel-linking                                refused
DELETE                /lobbies/{lobby}/members/@me                                    refused
POST                  /lobbies/{lobby}/members/@me/invites                            refused
POST                  /lobbies/{lobby}/members/bulk                                   refused
PUT DELETE            /lobbies/{lobby}/members/{user}                                 refused
POST                  /lobbies/{lobby}/members/{user}/invites                         refused
GET POST              /lobbies/{lobby}/messages                                       refused
PUT                   /lobbies/{lobby}/messages/{message}/moderation-metadata         refused
GET                   /oauth2/@me                                                     refused
GET                   /oauth2/keys                                                    refused
GET                   /oauth2/userinfo                                                refused
PUT                   /partner-sdk/dms/{user}/{other}/messages/{message}/moderation-metadata refused
POST                  /partner-sdk/provisional-accounts/unmerge                       refused
POST                  /partner-sdk/provisional-accounts/unmerge/bot                   refused
POST                  /partner-sdk/token                                              refused
POST                  /partner-sdk/token/bot                                          refused
GET                   /skus/{sku}/subscriptions                                       refused
GET                   /skus/{sku}/subscriptions/{subscription}                        refused
GET                   /users/@me/applications/{application}/entitlements              refused
GET PUT DELETE        /users/@me/applications/{application}/role-connection           refused
GET                   /users/@me/connections                                          refused
DELETE                /users/@me/guilds/{guild}                                       refused
GET                   /users/@me/guilds/{guild}/member                                refused
"""

_SNOWFLAKE = r"[1-9][0-9]{0,19}"
_SEGMENTS = {
    "code": r"[A-Za-z0-9-]{1,64}",
    "emoji": rf"(?:[A-Za-z0-9_]{{1,64}}(?::|%3[Aa]){_SNOWFLAKE}|{_SNOWFLAKE}|(?:%[0-9A-Fa-f]{{2}}|[0-9A-Za-z])+)",
    "token": r"[A-Za-z0-9._~=-]{8,1024}",
    "instance": r"[A-Za-z0-9_-]{1,128}",
}
"""What stands for a place in braces; everything else is a snowflake, without leading zeros."""

_FORBIDDEN = re.compile(r"%(?:2[EeFf]|5[Cc]|25|00)|//|\\")
"""A dot, a slash, a backslash or a percent sign that is written as something else."""

_ALLOWED = re.compile(r"/[A-Za-z0-9_@:%.~=/-]*")
_BASES = ("/api/v10", "/api/v9", "/api")
_AT_ME = re.compile(r"%40")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path with places in braces."""

    method: str
    template: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Match:
    """An operation that was asked for: what stands in its places, and the path built anew from that."""

    operation: Operation
    values: Mapping[str, str]
    path: str


def match(method: str, raw_path: str) -> Match | None:
    """`raw_path`: after the API's base, as it came. None for what stands in no line of the table."""
    path = _AT_ME.sub("@", raw_path)
    if not _ALLOWED.fullmatch(path) or _FORBIDDEN.search(path):
        return None
    for pattern, operation in _BY_METHOD.get(method, ()):
        if found := pattern.fullmatch(path):
            values = found.groupdict()
            return Match(operation, values, operation.template.format_map(values))
    return None


def find(method: str, target: str) -> Match | None:
    """The same by what stands in a request's first line."""
    path = target.partition("?")[0]
    base = next((base for base in _BASES if path.startswith(base + "/")), None)
    return match(method, path.removeprefix(base)) if base is not None else None


def for_log(method: str, target: str) -> str:
    """What was asked for, without what stands in its places: some are secrets."""
    found = find(method, target)
    return f"{method} {found.operation.template}" if found else "an unknown operation"


def _operations() -> tuple[Operation, ...]:
    found: list[Operation] = []
    for line in filter(None, _TABLE.splitlines()):
        methods, slash, rest = line.partition("/")
        template, _, rule = (slash + rest).partition(" ")
        found += [Operation(method, template, Rule(rule.strip())) for method in methods.split()]
    return tuple(found)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(
        f"(?P<{part}>{_SEGMENTS.get(part, _SNOWFLAKE)})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
    return re.compile(text)


OPERATIONS = _operations()
"""Those with fixed words before those with places, where both would match."""

_BY_METHOD: dict[str, list[tuple[re.Pattern[str], Operation]]] = {}
for _operation in sorted(OPERATIONS, key=lambda each: each.template.count("{")):
    _BY_METHOD.setdefault(_operation.method, []).append((_pattern(_operation.template), _operation))
