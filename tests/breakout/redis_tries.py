"""What a worker of A tries in Redis: name and command. `{b}` is B's prefix, `{a}` its own. A token `_` is empty."""

from __future__ import annotations

_LINES = """
read            GET {b}string
read-range      GETRANGE {b}string 0 -1
read-bit        GETBIT {b}string 0
read-many       MGET {a}string {b}string
read-length     STRLEN {b}string
read-expiring   GETEX {b}string
read-deleting   GETDEL {b}string
read-setting    GETSET {b}string x
read-substr     SUBSTR {b}string 0 -1
read-lcs-old    STRALGO LCS KEYS {b}string {b}string
read-lcs-mixed  STRALGO LCS KEYS {a}string {b}string
read-lcs        LCS {a}string {b}string
read-hash       HGETALL {b}hash
read-hash-field HGET {b}hash field
read-hash-rand  HRANDFIELD {b}hash
scan-hash       HSCAN {b}hash 0
read-list       LRANGE {b}list 0 -1
read-list-pos   LPOS {b}list secret
read-set        SMEMBERS {b}set
read-set-rand   SRANDMEMBER {b}set
scan-set        SSCAN {b}set 0
intersect       SINTER {a}set {b}set
unite           SUNION {a}set {b}set
subtract        SDIFF {b}set {a}set
intersect-card  SINTERCARD 2 {a}set {b}set
read-zset       ZRANGE {b}zset 0 -1
read-zset-rand  ZRANDMEMBER {b}zset
scan-zset       ZSCAN {b}zset 0
zset-union      ZUNION 2 {a}zset {b}zset
zset-inter      ZINTER 2 {a}zset {b}zset
zset-diff       ZDIFF 2 {b}zset {a}zset
zset-intercard  ZINTERCARD 2 {a}zset {b}zset
read-stream     XRANGE {b}stream - +
read-stream-2   XREAD STREAMS {a}stream {b}stream 0 0
read-block      XREAD BLOCK 1 STREAMS {b}stream 0
read-group      XREADGROUP GROUP group c STREAMS {b}stream >
read-group-2    XREADGROUP GROUP group c STREAMS {a}stream {b}stream > >
stream-info     XINFO STREAM {b}stream
stream-groups   XINFO GROUPS {b}stream
pending         XPENDING {b}stream group
claim           XCLAIM {b}stream group c 0 1-1
autoclaim       XAUTOCLAIM {b}stream group c 0 0
count-log       PFCOUNT {a}hll {b}hll
read-geo        GEOPOS {b}geo secret
search-geo      GEOSEARCH {b}geo FROMMEMBER secret BYRADIUS 9 km
read-bits       BITCOUNT {b}string
read-bit-field  BITFIELD_RO {b}string GET u8 0
read-forwarded  GET sandbox-bot:forwarded:1
forge-forwarded SET sandbox-bot:forwarded:1 {a}
read-own        EXISTS sandbox-bot:own-message:1
forge-own       SET sandbox-bot:own-message:1 1
exists          EXISTS {b}string
type            TYPE {b}string
ttl             TTL {b}string
dump            DUMP {b}string
encoding        OBJECT ENCODING {b}string
idle-time       OBJECT IDLETIME {b}string
memory-usage    MEMORY USAGE {b}string
debug-object    DEBUG OBJECT {b}string
sort-b          SORT {b}set ALPHA
sort-get        SORT {a}set ALPHA GET {b}string
sort-by         SORT {a}set BY {b}*
sort-pattern    SORT {a}set BY nosort GET sandbox:*:string
sort-ro         SORT_RO {a}set ALPHA GET {b}string
watch           WATCH {b}string
write           SET {b}string x
write-new       SET {b}planted x
write-many      MSET {a}x 1 {b}string x
write-many-new  MSETNX {b}planted x
append          APPEND {b}string x
set-range       SETRANGE {b}string 0 x
set-bit         SETBIT {b}string 0 1
bit-field       BITFIELD {b}string SET u8 0 1
increment       INCR {b}planted
increment-float INCRBYFLOAT {b}planted 1
write-hash      HSET {b}hash field x
increment-hash  HINCRBY {b}hash n 1
delete-hash     HDEL {b}hash field
push            LPUSH {b}list x
push-left       RPUSH {b}list x
pop             LPOP {b}list
blocking-pop    BLPOP {b}list 1
pop-own-or-b    BLPOP {a}nothing {b}list 1
multi-pop       LMPOP 1 {b}list LEFT
multi-pop-block BLMPOP 1 1 {b}list LEFT
zset-multi-pop  ZMPOP 1 {b}zset MIN
trim            LTRIM {b}list 1 0
set-index       LSET {b}list 0 x
set-if-equal    SET {b}string x IFEQ secret
set-many-until  MSETEX 1 {b}string x EX 60
set-both-until  MSETEX 2 {a}string x {b}string x EX 60
delete-if-equal DELIFEQ {b}string secret
field-until     HSETEX {b}hash EX 60 FIELDS 1 field x
field-read-keep HGETEX {b}hash PERSIST FIELDS 1 field
field-pop       HGETDEL {b}hash FIELDS 1 field
field-expire    HEXPIRE {b}hash 1 FIELDS 1 field
field-expire-at HPEXPIREAT {b}hash 1 FIELDS 1 field
field-persist   HPERSIST {b}hash FIELDS 1 field
field-ttl       HTTL {b}hash FIELDS 1 field
add             SADD {b}set x
remove          SREM {b}set secret
pop-set         SPOP {b}set
zadd            ZADD {b}zset 1 x
zpop            ZPOPMIN {b}zset
zpop-block      BZPOPMIN {b}zset 1
xadd            XADD {b}stream * f x
xdel            XDEL {b}stream 1-1
xtrim           XTRIM {b}stream MAXLEN 0
xack            XACK {b}stream group 1-1
group-create    XGROUP CREATE {b}stream g 0
group-destroy   XGROUP DESTROY {b}stream group
group-set-id    XGROUP SETID {b}stream group 0
stream-set-id   XSETID {b}stream 9-9
log-add         PFADD {b}hll x
geo-add         GEOADD {b}geo 1 1 x
delete          DEL {b}string
delete-both     DEL {a}nothing {b}string
unlink          UNLINK {b}string
expire          EXPIRE {b}string 1
expire-at       PEXPIREAT {b}string 1
persist         PERSIST {b}string
touch           TOUCH {b}string
rename-away     RENAME {b}string {a}stolen
rename-over     RENAME {a}string {b}string
rename-if-free  RENAMENX {b}string {a}stolen
copy-away       COPY {b}string {a}stolen
copy-over       COPY {a}string {b}string REPLACE
move-member     SMOVE {b}set {a}set secret
move-member-to  SMOVE {a}set {b}set secret
move-item       LMOVE {b}list {a}list LEFT LEFT
move-item-to    LMOVE {a}list {b}list LEFT LEFT
move-item-old   RPOPLPUSH {b}list {a}list
move-item-block BLMOVE {b}list {a}list LEFT LEFT 1
move-item-b-old BRPOPLPUSH {b}list {a}list 1
store-inter     SINTERSTORE {a}stolen {b}set
store-union     SUNIONSTORE {b}set {a}set
store-diff      SDIFFSTORE {a}stolen {b}set
store-zunion    ZUNIONSTORE {a}stolen 1 {b}zset
store-zunion-to ZUNIONSTORE {b}zset 1 {a}zset
store-zinter    ZINTERSTORE {a}stolen 2 {a}zset {b}zset
store-zdiff     ZDIFFSTORE {a}stolen 1 {b}zset
store-zrange    ZRANGESTORE {a}stolen {b}zset 0 -1
store-bitop     BITOP NOT {a}stolen {b}string
store-bitop-to  BITOP NOT {b}string {a}string
store-geo       GEORADIUS {a}geo 13 52 9 km STORE {b}planted
store-geo-dist  GEORADIUS {a}geo 13 52 9 km STOREDIST {b}planted
store-geo-both  GEORADIUS {a}geo 13 52 9 km STORE {a}x STOREDIST {b}planted
store-geo-mem   GEORADIUSBYMEMBER {b}geo secret 9 km STORE {a}stolen
store-geo-find  GEOSEARCHSTORE {a}stolen {b}geo FROMMEMBER secret BYRADIUS 9 km
store-sort      SORT {a}set ALPHA STORE {b}planted
merge-log       PFMERGE {a}stolen {b}hll
merge-nothing   PFMERGE {b}planted
restore         RESTORE {a}stolen 0 x
migrate         MIGRATE 127.0.0.1 6379 {b}string 0 1
keys            KEYS *
keys-own        KEYS {a}*
scan            SCAN 0
scan-own        SCAN 0 MATCH {a}*
scan-slots      CLUSTERSCAN 0
random-key      RANDOMKEY
count-keys      DBSIZE
select          SELECT 1
move            MOVE {a}string 1
copy-database   COPY {a}string {a}x DB 1
swap            SWAPDB 0 1
flush-database  FLUSHDB
flush-all       FLUSHALL
eval            EVAL return(1) 0
eval-endless    EVAL while(true)do(end) 0
eval-ro         EVAL_RO return(1) 0
eval-sha        EVALSHA x 0
script-load     SCRIPT LOAD return(1)
script-flush    SCRIPT FLUSH
script-show     SCRIPT SHOW x
script-kill     SCRIPT KILL
function-load   FUNCTION LOAD x
function-list   FUNCTION LIST
function-flush  FUNCTION FLUSH
function-call   FCALL x 0
config-get      CONFIG GET *
config-pass     CONFIG GET requirepass
config-set      CONFIG SET requirepass x
config-rewrite  CONFIG REWRITE
acl-list        ACL LIST
acl-users       ACL USERS
acl-get         ACL GETUSER {b_user}
acl-set         ACL SETUSER {b_user} nopass
acl-set-self    ACL SETUSER {a_user} allkeys
acl-delete      ACL DELUSER {b_user}
acl-who         ACL WHOAMI
acl-log         ACL LOG
acl-dry-run     ACL DRYRUN {b_user} GET {b}string
acl-save        ACL SAVE
info            INFO
info-clients    INFO clients
command-list    COMMAND
monitor         MONITOR
slow-log        SLOWLOG GET
command-log     COMMANDLOG GET 10 slow
latency         LATENCY LATEST
last-save       LASTSAVE
time            TIME
client-list     CLIENT LIST
client-info     CLIENT INFO
client-id       CLIENT ID
client-name     CLIENT SETNAME {b}
client-kill     CLIENT KILL TYPE normal
client-kill-b   CLIENT KILL USER {b_user}
client-pause    CLIENT PAUSE 10000
client-unblock  CLIENT UNBLOCK 1
client-tracking CLIENT TRACKING ON BCAST
client-cache    CLIENT CACHING YES
client-redirect CLIENT GETREDIR
client-no-evict CLIENT NO-EVICT ON
client-reply    CLIENT REPLY ON
client-import   CLIENT IMPORT-SOURCE ON
client-capable  CLIENT CAPA redirect
client-no-touch CLIENT NO-TOUCH ON
client-info-set CLIENT SETINFO LIB-NAME {b}
debug-sleep     DEBUG SLEEP 5
debug-crash     DEBUG SEGFAULT
memory-doctor   MEMORY DOCTOR
module-load     MODULE LOAD /tmp/x.so
module-list     MODULE LIST
replica-of      REPLICAOF 127.0.0.1 1
slave-of        SLAVEOF 127.0.0.1 1
sync            SYNC
psync           PSYNC ? -1
replconf        REPLCONF listening-port 1
role            ROLE
wait            WAIT 1 1
fail-over       FAILOVER
cluster         CLUSTER INFO
slot-migrations CLUSTER GETSLOTMIGRATIONS
shut-down       SHUTDOWN NOSAVE
save            SAVE
background-save BGSAVE
rewrite         BGREWRITEAOF
log-debug       PFDEBUG GETREG {a}hll
log-self-test   PFSELFTEST
channels        PUBSUB CHANNELS *
subscribers     PUBSUB NUMSUB {b}channel
patterns        PUBSUB NUMPAT
publish         PUBLISH {b}channel x
publish-any     PUBLISH other x
publish-keys    PUBLISH __keyspace@0__:{b}string set
publish-shard   SPUBLISH {b}channel x
subscribe       SUBSCRIBE {b}channel
subscribe-shard SSUBSCRIBE {b}channel
subscribe-all   PSUBSCRIBE *
subscribe-some  PSUBSCRIBE sandbox:*
subscribe-wide  PSUBSCRIBE {a_wide}*
subscribe-b     PSUBSCRIBE {b}*
subscribe-keys  PSUBSCRIBE __key*
subscribe-keys2 SUBSCRIBE __keyevent@0__:set
auth-b          AUTH {b_user} {a_token}
auth-b-empty    AUTH {b_user} _
auth-b-guess    AUTH {b_user} guess
auth-default    AUTH guess
auth-default-2  AUTH default {a_token}
auth-default-3  AUTH default _
auth-probe      AUTH sandbox-probe _
auth-hash       AUTH {b_user} {b_hash}
hello-auth-b    HELLO 3 AUTH {b_user} {a_token}
hello-default   HELLO 3 AUTH default _
prefix-case     GET {b_upper}string
prefix-short    GET sandbox:
prefix-other    SET sandbox:other x
prefix-cut      SET {a_cut} x
"""

TRIES = {line.split()[0]: line.split()[1:] for line in _LINES.strip().splitlines()}

SEQUENCES = {
    "transaction": [["MULTI"], ["GET", "{b}string"], ["EXEC"]],
    "transaction-of-both": [["MULTI"], ["SET", "{a}x", "1"], ["SET", "{b}string", "x"], ["EXEC"]],
    "reset": [["RESET"], ["GET", "{b}string"]],
    "quit-and-go-on": [["HELLO", "3"], ["GET", "{b}string"]],
    "wrong-auth-then-read": [["AUTH", "{b_user}", "x"], ["GET", "{b}string"]],
    "subscribed-then-read": [["SUBSCRIBE", "{a}channel"], ["GET", "{b}string"]],
    "hello-then-read": [["HELLO", "2"], ["KEYS", "*"]],
    "watch-in-a-transaction": [["WATCH", "{a}string"], ["MULTI"], ["RENAME", "{a}string", "{b}string"], ["EXEC"]],
}
"""The last command before EXEC, or the last one, must be refused."""
