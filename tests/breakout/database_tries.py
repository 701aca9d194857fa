"""What a worker of A, which has a database of its own, tries in Valkey. `{n}` is A's database, `{m}` is B's, `{a}` and
`{b}` their prefixes. A line that begins with `>` goes on with the connection of the line before."""

from __future__ import annotations

_COMMANDS = """
select            SELECT {m}
select-shared     SELECT 0
select-next       SELECT 9999
move              MOVE mine {m}
copy-there        COPY mine planted DB {m}
copy-here         COPY mine mine2 DB 0
copy-replace      COPY mine string REPLACE DB {m}
swap              SWAPDB {n} {m}
swap-back         SWAPDB {m} {n}
swap-shared       SWAPDB 0 {n}
flush-all         FLUSHALL
flush-all-async   FLUSHALL ASYNC
migrate           MIGRATE 127.0.0.1 1 mine {m} 10
migrate-keys      MIGRATE 127.0.0.1 1 _ {m} 10 COPY KEYS mine
restore           RESTORE planted 0 x
restore-asking    RESTORE-ASKING planted 0 x
debug             DEBUG OBJECT mine
debug-reload      DEBUG RELOAD
debug-sleep       DEBUG SLEEP 0
config-get        CONFIG GET *
config-set        CONFIG SET maxmemory 1
config-events     CONFIG SET notify-keyspace-events ""
config-stat       CONFIG RESETSTAT
config-write      CONFIG REWRITE
acl-list          ACL LIST
acl-users         ACL USERS
acl-set           ACL SETUSER {a_user} alldbs
acl-get           ACL GETUSER {b_user}
acl-delete        ACL DELUSER {b_user}
acl-log           ACL LOG
acl-dryrun        ACL DRYRUN {b_user} GET x
acl-whoami        ACL WHOAMI
acl-load          ACL LOAD
client-list       CLIENT LIST
client-kill       CLIENT KILL USER {b_user}
client-kill-type  CLIENT KILL TYPE normal
client-pause      CLIENT PAUSE 10
client-unblock    CLIENT UNBLOCK 1
client-evict      CLIENT NO-EVICT on
client-tracking   CLIENT TRACKING on BCAST
client-track-pre  CLIENT TRACKING on BCAST PREFIX {b}
client-caching    CLIENT CACHING yes
client-redirect   CLIENT GETREDIR
client-import     CLIENT IMPORT-SOURCE on
client-capa       CLIENT CAPA redirect
client-reply      CLIENT REPLY off
function-load     FUNCTION LOAD #!lua
function-list     FUNCTION LIST
function-flush    FUNCTION FLUSH
function-dump     FUNCTION DUMP
function-kill     FUNCTION KILL
function-stats    FUNCTION STATS
function-call     FCALL x 0
function-read     FCALL_RO x 0
script-flush      SCRIPT FLUSH
script-kill       SCRIPT KILL
script-debug      SCRIPT DEBUG yes
script-show       SCRIPT SHOW 0000000000000000000000000000000000000000
pubsub-channels   PUBSUB CHANNELS
pubsub-shards     PUBSUB SHARDCHANNELS
pubsub-count      PUBSUB NUMSUB {b}channel
pubsub-patterns   PUBSUB NUMPAT
subscribe         SUBSCRIBE {b}channel
subscribe-events  SUBSCRIBE __keyspace@{m}__:string
subscribe-event   SUBSCRIBE __keyevent@{m}__:set
subscribe-shared  SUBSCRIBE __keyevent@0__:set
subscribe-kombu   SUBSCRIBE /{m}.celery
subscribe-longer  SUBSCRIBE /{n}0.celery
subscribe-invalid SUBSCRIBE __redis__:invalidate
psubscribe-all    PSUBSCRIBE *
psubscribe-prefix PSUBSCRIBE {b}*
psubscribe-events PSUBSCRIBE __keyspace@{m}__:*
psubscribe-any    PSUBSCRIBE __keyspace@*__:*
psubscribe-event  PSUBSCRIBE __keyevent@*__:*
psubscribe-kombu  PSUBSCRIBE /*
psubscribe-celery PSUBSCRIBE /{m}.celery.pidbox
psubscribe-beats  PSUBSCRIBE /{m}.celeryev/*
psubscribe-class  PSUBSCRIBE __keyspace@[0-9]*__:*
psubscribe-wide   PSUBSCRIBE __key*
ssubscribe        SSUBSCRIBE {b}channel
publish           PUBLISH {b}channel forged
publish-event     PUBLISH __keyspace@{m}__:string set
publish-kombu     PUBLISH /{m}.celery forged
publish-shared    PUBLISH __keyevent@0__:expired sandbox-bot:x
spublish          SPUBLISH {b}channel forged
memory-doctor     MEMORY DOCTOR
memory-stats      MEMORY STATS
memory-malloc     MEMORY MALLOC-STATS
memory-purge      MEMORY PURGE
monitor           MONITOR
sync              SYNC
psync             PSYNC ? -1
replconf          REPLCONF listening-port 1
replicaof         REPLICAOF 127.0.0.1 1
slaveof           SLAVEOF NO ONE
failover          FAILOVER
save              SAVE
bgsave            BGSAVE
bgrewriteaof      BGREWRITEAOF
lastsave          LASTSAVE
shutdown          SHUTDOWN NOSAVE
module            MODULE LIST
module-load       MODULE LOAD /tmp/x.so
role              ROLE
latency           LATENCY LATEST
latency-hist      LATENCY HISTOGRAM
slowlog           SLOWLOG GET
slowlog-reset     SLOWLOG RESET
commandlog        COMMANDLOG GET 1 slow
pfdebug           PFDEBUG TODENSE mine
pfselftest        PFSELFTEST
cluster-info      CLUSTER INFO
cluster-nodes     CLUSTER NODES
cluster-flush     CLUSTER FLUSHSLOT 0
cluster-keys      CLUSTER GETKEYSINSLOT 0 10
cluster-reset     CLUSTER RESET
cluster-migrate   CLUSTER MIGRATESLOTS SLOTSRANGE 0 1 NODE x
cluster-scan      CLUSTERSCAN 0
asking            ASKING
readonly          READONLY
command           COMMAND
command-docs      COMMAND DOCS
log-in            AUTH {b_user} wrong
log-in-hash       AUTH {b_user} {b_hash}
log-in-default    AUTH default _
hello             HELLO 3 AUTH {b_user} {b_hash}
"""

_SEQUENCES = """
multi-select    MULTI
>               SELECT {m}
>               EXEC
multi-copy      MULTI
>               COPY mine planted DB {m}
>               EXEC
multi-swap      MULTI
>               SWAPDB {n} {m}
>               EXEC
multi-flush     MULTI
>               FLUSHALL
>               EXEC
reset           RESET
>               SELECT {m}
reset-default   RESET
>               GET string
auth-fails      AUTH {b_user} wrong
>               SELECT {m}
watch-select    WATCH string
>               SELECT {m}
"""

SCRIPTS = {
    "select": "return redis.call('SELECT', {m})",
    "select-shared": "return redis.call('SELECT', 0)",
    "select-server": "return server.call('SELECT', {m})",
    "select-protected": "local r = redis.pcall('SELECT', {m}) return r.err and r or redis.call('GET', 'string')",
    "select-twice": "redis.call('SELECT', {n}) return redis.call('SELECT', {m})",
    "copy": "return redis.call('COPY', 'mine', 'planted', 'DB', {m})",
    "move": "return redis.call('MOVE', 'mine', {m})",
    "swap": "return redis.call('SWAPDB', {n}, {m})",
    "flush-all": "return redis.call('FLUSHALL')",
    "config": "return redis.call('CONFIG', 'GET', '*')",
    "acl": "return redis.call('ACL', 'LIST')",
    "clients": "return redis.call('CLIENT', 'LIST')",
    "function": "return redis.call('FUNCTION', 'LIST')",
    "publish": "return redis.call('PUBLISH', '{b}channel', 'forged')",
    "publish-event": "return redis.call('PUBLISH', '__keyspace@{m}__:string', 'set')",
    "pubsub": "return redis.call('PUBSUB', 'CHANNELS')",
    "script-kill": "return redis.call('SCRIPT', 'KILL')",
    "debug": "return redis.call('DEBUG', 'OBJECT', 'mine')",
    "global": "planted = 1",
    "global-raw": "rawset(_G, 'planted', 1)",
    "global-redis": "redis.call = nil",
    "global-server": "server.log = nil",
    "global-string": "string.rep = nil",
    "global-math": "math.random = nil",
    "global-table": "table.planted = 1",
    "global-cjson": "cjson.encode = nil",
    "global-meta": "setmetatable(_G, nil)",
    "global-meta-of": "getmetatable(_G).__index = function() return 1 end",
    "string-meta": "getmetatable('').__index = nil",
    "string-meta-key": "getmetatable('').planted = 1",
    "number-meta": "debug.setmetatable(1, {{}})",
    "environment": "setfenv(0, {{}})",
    "environment-of": "return getfenv(redis.call)",
    "files": "return io.open('/etc/passwd')",
    "system": "return os.execute('true')",
    "load-library": "return package.loadlib('x', 'y')",
    "require": "return require('x')",
    "load-file": "return loadfile('/etc/passwd')",
    "do-file": "return dofile('/etc/passwd')",
    "print": "print('x')",
    "debugger": "return debug.getinfo(1)",
    "registry": "return debug.getregistry()",
    "register": "redis.register_function('x', function() end)",
}


def _read(lines: str) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    name = ""
    for line in lines.strip().splitlines():
        first, *command = line.split()
        name = name if first == ">" else first
        found.setdefault(name, []).append(command)
    return found


TRIES = {name: commands[0] for name, commands in _read(_COMMANDS).items()}
SEQUENCES = _read(_SEQUENCES)
