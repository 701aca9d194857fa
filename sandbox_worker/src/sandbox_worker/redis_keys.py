"""Where the keys and channels are among the arguments of the Redis commands that a sandbox may use. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox_worker.errors import UnsupportedCommand

Arguments = Sequence[object]
"""A command as it is sent, its name (bytes, upper-case) first."""

_FIRST = """
append bitcount bitfield bitfield_ro bitpos decr decrby delifeq expire expireat geoadd geodist geohash geopos
georadius_ro georadiusbymember_ro geosearch get getbit getdel getex getrange getset hdel hexists hget hgetall hincrby
hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals incr incrby incrbyfloat lindex linsert
llen lpop lpos lpush lpushx lrange lrem lset ltrim persist pexpire pexpireat pfadd psetex pttl publish rpop rpush rpushx
sadd scard set setbit setex setnx setrange sismember smembers smismember spop srandmember srem sscan strlen substr ttl
type xack xadd xautoclaim xclaim xdel xlen xpending xrange xrevrange xsetid xtrim zadd zcard zcount zincrby zlexcount
zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrank zrem zremrangebylex zremrangebyrank
zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore
"""
_FIRST_OF_NEWER = """
hexpire hexpireat hexpiretime hgetdel hgetex hpersist hpexpire hpexpireat hpexpiretime hpttl hsetex httl
"""
"""Since Redis 7.4 and Valkey 9."""

_FIRST_TWO = "blmove brpoplpush geosearchstore lcs lmove rename renamenx rpoplpush smove zrangestore"
_ALL = """
del exists mget pfcount pfmerge psubscribe punsubscribe sdiff sdiffstore sinter sinterstore subscribe sunion sunionstore
touch unlink unsubscribe watch
"""
_ALL_BUT_LAST = "blpop brpop bzpopmax bzpopmin"
_EVERY_OTHER = "mset msetnx"
_ALL_BUT_FIRST = "bitop"
_SECOND = "xgroup xinfo"
_COUNTED_AND_EVERY_OTHER = "msetex"
_COUNTED = "lmpop sintercard zdiff zinter zintercard zmpop zunion"
_COUNTED_SECOND = "blmpop bzmpop"
_STORED_AND_COUNTED = "zdiffstore zinterstore zunionstore"
_STREAMS = "xread xreadgroup"
_STORED_LAST = "georadius georadiusbymember"
_NONE = "auth discard echo exec multi ping select unwatch"

Positions = Callable[[Arguments], Sequence[int]]


def _counted(at: int) -> Positions:
    """As many as the argument `at` says, after it."""
    return lambda arguments: range(at + 1, at + 1 + _number(arguments, at))


def _streams(arguments: Arguments) -> Sequence[int]:
    """The first half of what follows STREAMS; the other half is ids."""
    at = 1
    while at < len(arguments) and (word := _text(arguments[at])) != b"STREAMS":
        at += {b"GROUP": 3, b"BLOCK": 2, b"COUNT": 2}.get(word, 1)
    return range(at + 1, at + 1 + (len(arguments) - at - 1) // 2)


def _stored_last(arguments: Arguments) -> Sequence[int]:
    """The first, and the one that STORE or STOREDIST names."""
    options = range(4, len(arguments) - 1)
    return [1, *(i + 1 for i in options if _text(arguments[i]) in {b"STORE", b"STOREDIST"})]


_POSITIONS: dict[str, Positions] = {
    **dict.fromkeys((_FIRST + _FIRST_OF_NEWER).split(), lambda _: (1,)),
    **dict.fromkeys(_FIRST_TWO.split(), lambda _: (1, 2)),
    **dict.fromkeys(_ALL.split(), lambda arguments: range(1, len(arguments))),
    **dict.fromkeys(_ALL_BUT_LAST.split(), lambda arguments: range(1, len(arguments) - 1)),
    **dict.fromkeys(_EVERY_OTHER.split(), lambda arguments: range(1, len(arguments), 2)),
    **dict.fromkeys(_COUNTED_AND_EVERY_OTHER.split(), lambda arguments: range(2, 2 + 2 * _number(arguments, 1), 2)),
    **dict.fromkeys(_ALL_BUT_FIRST.split(), lambda arguments: range(2, len(arguments))),
    **dict.fromkeys(_SECOND.split(), lambda _: (2,)),
    **dict.fromkeys(_COUNTED.split(), _counted(1)),
    **dict.fromkeys(_COUNTED_SECOND.split(), _counted(2)),
    **dict.fromkeys(_STORED_AND_COUNTED.split(), lambda arguments: [1, *_counted(2)(arguments)]),
    **dict.fromkeys(_STREAMS.split(), _streams),
    **dict.fromkeys(_STORED_LAST.split(), _stored_last),
    **dict.fromkeys(_NONE.split(), lambda _: ()),
}
SUPPORTED_COMMANDS = frozenset(_POSITIONS)
"""Their names, in lower case."""


def key_positions(arguments: Arguments) -> list[int]:
    """Where a command has keys or channels; `UnsupportedCommand` for a command that is not a sandbox's to use."""
    name = _text(arguments[0]).decode()
    positions = _POSITIONS.get(name.lower())
    if positions is None:
        raise UnsupportedCommand(name)
    return [position for position in positions(arguments) if position < len(arguments)]


def _number(arguments: Arguments, at: int) -> int:
    text = _text(arguments[at]) if at < len(arguments) else b""
    return int(text) if text.isdigit() else 0


def _text(argument: object) -> bytes:
    """As the server compares words."""
    return argument.upper() if isinstance(argument, bytes) else str(argument).encode().upper()
