"""What to do about each error and exit code: the part of `docs/errors.md` that no code can say."""

from __future__ import annotations

OF_BOT = {
    "NameTaken": "Choose another name. The name of a sandbox that is destroyed is free again.",
    "QuotaReached": (
        "Destroy one (`/sandbox list` shows yours), or have the operator raise `[sandboxes] max_per_owner`."
    ),
    "GuildTaken": (
        "Have its owner, an admin, or in the server whoever has *Manage Server* there run `/sandbox unbind-guild`."
    ),
    "SandboxNotFound": "Look at `/sandbox list`. A destroyed sandbox is known by its whole id, to `audit` alone.",
    "GuildNotBound": "Bind it with `/sandbox bind-guild`, if its events are missed.",
    "SandboxHidden": "It is somebody else's: ask its owner or an admin.",
    "ProvisioningFailed": (
        "Try again in a minute. For the operator: the line `provisioning failed` in the log has step and cause; "
        "`sandbox-bot check` tries every step, the template too."
    ),
    "CleanupFailed": (
        "Nothing: it is cut off, and the bot goes on trying. For the operator: `a sandbox cannot be ended` in the "
        "log has the cause."
    ),
    "ResetFailed": (
        "End the sandbox's workers and reset it again. If it is the template, `sandbox-bot check` names file and line."
    ),
    "CleanupRefused": (
        "See whether `DATABASE_URL` names the right database; only if it does, `sandbox-bot sandbox orphans --drop "
        "--force`."
    ),
    "InvalidTransition": (
        "Look at its state with `/sandbox status`. One that has expired runs again by `/sandbox extend` within its "
        "grace time; one that is destroyed doesn't."
    ),
    "InvalidInput": (
        "Write it as the sentence says: durations like `90m` or `1d12h`, ids of 17 to 20 digits, names of `a-z`, "
        "`0-9` and dashes."
    ),
    "NotAllowed": (
        "Have the owner or an admin do it, or get *Manage Server* in that server. Admins are those in `[discord] "
        "admins`, else the application's owner or team."
    ),
    "ServiceUnavailable": (
        "Try again in a minute. For the operator: `sandbox-bot check` asks each store; the line `a service is "
        "away` in the log has the cause. If it has no more room, memory or connections, give it some: it goes on "
        "by itself."
    ),
    "RestoreUnsettled": (
        "For the operator: `sandbox-bot check --restore` lists what does not match, `sandbox-bot settle-restore` "
        "settles it."
    ),
    "DiscordUnavailable": "See [discordstatus.com](https://discordstatus.com). The bot tries on by itself.",
    "LeaderAway": (
        "Wait: the cluster elects another leader within seconds. If none comes, look for NATS servers that are down."
    ),
}
"""By the error's class."""

OF_WORKER = {
    "WrongEnvironment": (
        "Save the file of `/sandbox connect` as `.env` where the worker starts; if it is there, `sandbox-worker "
        "env --pull` brings it up to date."
    ),
    "MissingExtra": (
        "Install what the sentence names: `pip install './sandbox_worker[all]'` from a checkout brings all."
    ),
    "WrongDuration": "Write it like `90s`, `45m` or `1d12h`.",
    "CommandNotFound": "Give the command as you would type it alone, and see that it is on PATH.",
    "ClientMissing": "Install the client that the sentence names.",
    "NamespaceRefused": "Add `--hooks` for Python or Node, or `--address` for a library that can be pointed elsewhere.",
    "ServiceUnavailable": (
        "Nothing, if the worker goes on: the kit tries again. Otherwise look whether the address in `.env` can be "
        "reached from here (`sandbox-worker env --pull`), and ask whoever operates the bot."
    ),
    "DiscordUnavailable": (
        "See [discordstatus.com](https://discordstatus.com), and answer again if there is still time: 3 seconds "
        "for the first answer, 15 minutes for the others."
    ),
    "CertificateRefused": (
        "Set `SANDBOX_TLS_CA` to your team's `ca.pem`, or have the certificate made for the name in the address."
    ),
    "TooManyConnections": "End one of the sandbox's workers, or have the operator raise `[isolation] max_connections`.",
    "ReplayRefused": "Do what the sentence says: a running bot plays events again, and of a running sandbox alone.",
    "SandboxEnded": (
        "`/sandbox extend` within the grace time, `/sandbox connect` after new credentials, `/sandbox create` "
        "after the end."
    ),
    "InteractionFailed": (
        "Answer at once with `defer()` and later with `edit_reply()`; go on with an answered one by `follow_up()`."
    ),
    "NotAnInteraction": "Answer events named `INTERACTION_CREATE` alone.",
    "UnsupportedCommand": "Use keys that the command names one by one; keep an index of them in a set or a hash.",
}
"""By the error's class."""

EXITS = {
    0: "Nothing. A warning on standard error may say that the sandbox is degraded.",
    1: (
        "Read the sentence: it was refused or has failed. Of `sandbox status` also that the sandbox is unhealthy, "
        "with the code `UNHEALTHY` and the reasons."
    ),
    2: "See `--help`. Without a terminal, say `--yes` where there is a question.",
    3: (
        "`sandbox env` shows credentials once: `--rotate` makes new ones and ends those, `--without-credentials` "
        "prints the rest."
    ),
    69: (
        "Start it again when the service that it names can be reached; a supervisor such as systemd does. "
        "`sandbox-bot check` says which can't. At the start Discord was not reached for 30 seconds."
    ),
    78: "Mend the setting that it names: starting again would end in the same way.",
    127: "`run`, `psql`, `redis`: install the program that it names, or put it on PATH.",
    130: "Nothing: somebody has pressed Ctrl+C.",
}
"""By the exit code. Of `sandbox-worker run`, `psql` and `redis` every other one is the command's own."""

_LOG_IN = "Log in with the sandbox's token. One that worked until now has ended: `/sandbox connect` hands out another."

RELAY_ANSWERS: dict[tuple[int | None, int | None], str] = {
    (400, 30032): "Register fewer commands: a server has room for 100 of an application's, all its bots' together.",
    (400, 50035): "Mend the field that is named.",
    (400, 50109): "Send JSON, or a form as Discord takes it.",
    (401, 0): _LOG_IN,
    (403, 50001): "Read the reason in parentheses: it is another's server, channel or message, or the application's.",
    (403, 50007): "Write to whom `[relay] direct_messages` allows: by default the sandbox's owner alone.",
    (404, 10063): "Register the command first; one of the team's own bot is not the sandbox's.",
    (404, 10066): "Nothing: there are no permissions of that command.",
    (408, 0): "Send the whole body sooner.",
    (413, 40005): "Send less at once.",
    (429, None): "Wait as long as `retry_after` says; libraries do.",
    (500, 0): "Report it: the line `the relay has failed to answer` in the log has the traceback.",
    (503, 0): "Try again in a minute: Discord or a store is away. `the relay cannot answer` in the log says which.",
}
"""By the HTTP status, and Discord's code in the body. Everything else is Discord's own answer, as it came."""

RELAY_CLOSES = {
    4000: (
        "Connect again, as libraries do by themselves. If the reason is `too many clients`, stop some of them, or have "
        "the operator raise `[relay] max_clients`."
    ),
    4001: "Send what the gateway's protocol knows.",
    4002: "Send JSON objects as the gateway's protocol has them.",
    4003: "Identify first, within the time that a connection has for it.",
    4004: _LOG_IN,
    4005: "Identify once on a connection.",
    4008: "Send less often; IDENTIFY above all, which `resume` saves.",
    4010: "Give a shard number below the number of shards.",
    4012: "Ask for version 9 or 10 in JSON, and for `zlib-stream`, `zstd-stream` or no compression; take erlpack out.",
    4013: "Ask for intents that Discord has.",
    4014: (
        "Ask for no privileged intent that the application lacks; the operator switches it on in the developer portal "
        "and names it in `[discord] privileged_intents`."
    ),
}
"""By the code with which the connection is closed."""
