"""What a sandbox's user may do in Valkey or Redis, as ACL rules. Lists of what is allowed, for what is forbidden grows
with every release: SCAN and KEYS would name others' keys where all share a database, PUBSUB others' channels."""

from __future__ import annotations

_TYPES = """
+@string +@hash +@list +@set +@sortedset +@stream +@bitmap +@hyperloglog +@geo +@transaction
""".split()

_KEYS = """
+del +unlink +exists +type +touch +expire +pexpire +expireat +pexpireat +ttl +pttl +persist +rename +renamenx
+publish +subscribe +psubscribe +unsubscribe +punsubscribe +ping +echo
""".split()

BY_PREFIX = [*_TYPES, *_KEYS, *"-@dangerous -@admin -@scripting".split()]
"""In the database that all share, on the keys and channels that begin with the sandbox's prefix."""

OF_A_DATABASE = [
    *_TYPES,
    *"-@dangerous -@admin".split(),  # some stand in the categories of types too; what of them is harmless comes back
    *_KEYS,
    *"""
    +expiretime +pexpiretime +copy +dump +scan +keys +dbsize +randomkey +flushdb +sort +sort_ro +select
    +object|encoding +object|freq +object|idletime +object|refcount +memory|usage
    +client|setname +client|getname +client|setinfo +client|id +client|info +client|no-touch
    +spublish +ssubscribe +sunsubscribe +info +time +lolwut +wait +waitaof
    """.split(),
]
"""In a database of the sandbox's own, on any key. Of commands on the whole server those that show or change nothing of
others: INFO's counts are everybody's, and README says so."""

SCRIPTS = "+eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists".split()
"""They run with the user's own rights. FUNCTION and SCRIPT FLUSH are left out: libraries of functions and the cache of
scripts are everybody's."""


def by_prefix(prefix: str, shared_database: int | None) -> list[str]:
    """For a user of that prefix. A `shared_database` is the one to be in, unless it is the first."""
    select = [f"+select|{shared_database}"] if shared_database else []  # what lies in others is not found to be deleted
    return [f"~{prefix}*", "resetchannels", f"&{prefix}*", *BY_PREFIX, *select]


def of_a_database(number: int, prefix: str) -> list[str]:
    """For a user of that database. Channels are the whole server's: those of the prefix, the database's own events, and
    those that are called by its number, as Kombu's are. Celery's workers subscribe to patterns of them, which the
    server compares with the granted ones as they are written."""
    own = [f"&{prefix}*", f"&__keyspace@{number}__:*", f"&__keyevent@{number}__:*", f"&/{number}.*"]
    patterns = [f"&/{number}.{pattern}" for pattern in ("celery.pidbox", "celeryev/*", "celeryev/worker.*")]
    return [f"db={number}", "~*", "resetchannels", *own, *patterns, *OF_A_DATABASE]
