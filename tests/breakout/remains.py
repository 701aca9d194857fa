"""What a worker can still do to others, by store. README lists these; `test_remains.py` shows them."""

from __future__ import annotations

POSTGRES = {
    "notify": "NOTIFY and LISTEN on any channel but the bot's, whose name it cannot learn; hold up the server's queue"
    " of them until a tenth is used (800 MB on the disk by default), when the sessions that may hold it up are ended,"
    " another sandbox's among them if its transaction goes on",
    "advisory-lock": "hold any advisory lock of the database; the bot uses none",
    "catalogue": "read names, sizes and function sources of all schemas, and roles with their expiry; no row, no query",
    "settings": "override its own settings, statement_timeout included; the bot ends overlong transactions",
    "own-password": "change its own password, until the next rotation",
    "large-objects": "make large objects of its own, which go with it",
    "resources": "fill the disk and use processor and memory; nothing in PostgreSQL limits a role's share",
}

REDIS = {
    "resources": "use up memory (then keys of all are evicted or writes of all fail), processor and connections",
    "own-name": "give its connection any name, which administrators see",
    "first-database": "use its prefix in database 0 too when the bot uses another one; nothing is deleted there",
    "expiry-without-bot": "go on after the expiry as long as no bot runs: Redis users do not expire",
}

NATS = {
    "status-to-b": "knowing another's whole id, send empty status messages, and events under its own subject, to the"
    " other's plain subscriptions; never to its stream, whose consumer hears none of it",
    "resources": "use up connections of the server, processor and bandwidth",
}
