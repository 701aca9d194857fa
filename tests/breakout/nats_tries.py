"""What a worker of A tries in NATS. `{b_id}` and `{b_hex}` are more than A can learn from any server."""

from __future__ import annotations

_OF_A_STREAM = """
STREAM.CREATE.{s} STREAM.UPDATE.{s} STREAM.DELETE.{s} STREAM.PURGE.{s} STREAM.MSG.GET.{s} CONSUMER.INFO.{s}.spy
STREAM.MSG.DELETE.{s} STREAM.SNAPSHOT.{s} STREAM.RESTORE.{s} STREAM.PEER.REMOVE.{s} STREAM.LEADER.STEPDOWN.{s}
CONSUMER.CREATE.{s} CONSUMER.CREATE.{s}.spy CONSUMER.CREATE.{s}.worker CONSUMER.CREATE.{s}.spy.sandbox.x.events.x
CONSUMER.DURABLE.CREATE.{s}.spy CONSUMER.DURABLE.CREATE.{s}.worker CONSUMER.DELETE.{s}.worker
CONSUMER.LIST.{s} CONSUMER.NAMES.{s} CONSUMER.PAUSE.{s}.worker CONSUMER.RESET.{s}.worker CONSUMER.UNPIN.{s}.worker
CONSUMER.LEADER.STEPDOWN.{s}.worker CONSUMER.MSG.NEXT.{s}.spy DIRECT.GET.{s} DIRECT.GET.{s}.sandbox.x.events.x
"""
_OF_NONE = """
STREAM.INFO.{b_stream} STREAM.INFO.* CONSUMER.INFO.{b_stream}.worker CONSUMER.INFO.*.worker
INFO STREAM.LIST STREAM.NAMES META.LEADER.STEPDOWN SERVER.REMOVE ACCOUNT.PURGE.SANDBOX ACCOUNT.PURGE.APP
ACCOUNT.STREAM.MOVE.SANDBOX.x STREAM.TEMPLATE.NAMES CONSUMER.MSG.NEXT.{b_stream}.worker CONSUMER.MSG.NEXT.>
"""

API = {
    **{f"own-{verb.format(s='s')}": verb.replace("{s}", "{a_stream}") for verb in _OF_A_STREAM.split()},
    **{f"b-{verb.format(s='s')}": verb.replace("{s}", "{b_stream}") for verb in _OF_A_STREAM.split()},
    **{verb.replace("{b_stream}", "b"): verb for verb in _OF_NONE.split()},
}

PUBLISH = {
    "own-event": "sandbox.{a_id}.events.FORGED",
    "event-of-b": "sandbox.{b_id}.events.FORGED",
    "work-of-b": "sandbox.{b_id}.work.x",
    "replay-of-b": "sandbox.{b_id}.replay",
    "replay-of-all": "sandbox.*.replay",
    "inbox-of-b": "_INBOX_{b_hex}.x",
    "inbox-of-the-bot": "_INBOX.x.y",
    "inbox-of-all": "_INBOX_*.x",
    "own-inbox-without-a-token": "_INBOX_{a_hex}",
    "own-inbox-with-more": "_INBOX_{a_hex}x.y",
    "info-of-b": "sandbox-info.{b_stream}.stream",
    "info-of-bs-consumer": "sandbox-info.{b_stream}.consumer",
    "info-of-all": "sandbox-info.*.stream",
    "own-root": "sandbox.{a_id}",
    "own-other": "sandbox.{a_id}.other",
    "unbound-events": "events.MESSAGE_CREATE",
    "replay-delivery": "sandbox-replay._INBOX_{b_hex}.x",
    "ack-of-b-guessed": "$JS.ACK.{b_stream}.worker.1.1.1.1.0",
    "ack-of-b-known": "{b_ack}",
    "ack-of-b-v2": "$JS.ACK._.x.{b_stream}.worker.1.1.1.1.0.x",
    "ack-of-b-v2-by-own-name": "$JS.ACK.{a_stream}.x.{b_stream}.worker.1.1.1.1.0.x",
    "ack-of-another-consumer": "$JS.ACK.{a_stream}.spy.1.1.1.1.0",
    "advisory": "$JS.EVENT.ADVISORY.STREAM.DELETED.{b_stream}",
    "advisory-of-a-consumer": "$JS.EVENT.ADVISORY.CONSUMER.DELETED.{b_stream}.worker",
    "flow-control": "$JS.FC.{b_stream}.worker.x",
    "auth-request": "$SYS.REQ.USER.AUTH",
    "system-ping": "$SYS.REQ.SERVER.PING",
    "system-connections": "$SYS.REQ.SERVER.PING.CONNZ",
    "account-connections": "$SYS.REQ.ACCOUNT.PING.CONNZ",
    "account-of-all": "$SYS.REQ.ACCOUNT.SANDBOX.CONNZ",
    "account-info": "$SYS.REQ.ACCOUNT.APP.INFO",
    "user-info": "$SYS.REQ.USER.INFO",
    "kick": "$SYS.REQ.SERVER.{server}.KICK",
    "reload": "$SYS.REQ.SERVER.{server}.RELOAD",
    "lame-duck": "$SYS.SERVER.{server}.LAMEDUCK",
    "account-claims": "$SYS.REQ.CLAIMS.UPDATE",
    "connect-event": "$SYS.ACCOUNT.SANDBOX.CONNECT",
    "service-reply": "_R_.guess.x",
    "gateway-reply": "_GR_.guess.x",
}

SUBSCRIBE = {
    "everything": ">",
    "everything-but": "*.>",
    "all-sandboxes": "sandbox.>",
    "all-of-all": "sandbox.*.>",
    "events-of-all": "sandbox.*.events.>",
    "work-of-all": "sandbox.*.work.>",
    "replay-of-all": "sandbox.*.replay",
    "events-of-b": "sandbox.{b_id}.events.>",
    "one-event-of-b": "sandbox.{b_id}.events.SECRET",
    "work-of-b": "sandbox.{b_id}.work.>",
    "all-of-b": "sandbox.{b_id}.>",
    "root-of-b": "sandbox.{b_id}",
    "inbox-of-b": "_INBOX_{b_hex}.>",
    "inboxes": "_INBOX.>",
    "inboxes-by-wildcard": "*.*",
    "inboxes-of-three": "*.*.*",
    "replay-delivery": "sandbox-replay.>",
    "system": "$SYS.>",
    "auth-requests": "$SYS.REQ.USER.AUTH",
    "connects": "$SYS.ACCOUNT.*.CONNECT",
    "jetstream": "$JS.>",
    "jetstream-api": "$JS.API.>",
    "acks": "$JS.ACK.>",
    "acks-of-b": "$JS.ACK.{b_stream}.>",
    "own-acks": "$JS.ACK.{a_stream}.>",
    "own-next": "$JS.API.CONSUMER.MSG.NEXT.{a_stream}.worker",
    "advisories": "$JS.EVENT.ADVISORY.>",
    "own-lost-consumers": "$JS.EVENT.ADVISORY.CONSUMER.DELETED.{a_stream}.worker",
    "metrics": "$JS.EVENT.METRIC.>",
    "questions-of-b": "sandbox-info.{b_stream}.*",
    "own-questions": "sandbox-info.{a_stream}.*",
    "questions-as-asked": "$JS.API.STREAM.INFO.*",
    "service-replies": "_R_.>",
    "gateway-replies": "_GR_.>",
    "unbound-events": "events.>",
    "latency": "$SYS.LATENCY.>",
}

REPLY_TO = {
    "delete-stream-of-b": "$JS.API.STREAM.DELETE.{b_stream}",
    "purge-stream-of-b": "$JS.API.STREAM.PURGE.{b_stream}",
    "delete-own-stream": "$JS.API.STREAM.DELETE.{a_stream}",
    "delete-consumer-of-b": "$JS.API.CONSUMER.DELETE.{b_stream}.worker",
    "next-of-b": "$JS.API.CONSUMER.MSG.NEXT.{b_stream}.worker",
    "step-down-b": "$JS.API.STREAM.LEADER.STEPDOWN.{b_stream}",
    "ack-of-b-guessed": "$JS.ACK.{b_stream}.worker.1.1.1.1.0",
    "ack-of-b-known": "{b_ack}",
    "replay-delivery": "sandbox-replay._INBOX_{b_hex}.x",
    "info-of-b": "sandbox-info.{b_stream}.stream",
    "info-of-b-as-asked": "$JS.API.CONSUMER.INFO.{b_stream}.worker",
    "own-info": "$JS.API.STREAM.INFO.{a_stream}",
    "auth-request": "$SYS.REQ.USER.AUTH",
    "advisory": "$JS.EVENT.ADVISORY.STREAM.DELETED.{b_stream}",
    "advisory-of-a-consumer": "$JS.EVENT.ADVISORY.CONSUMER.DELETED.{b_stream}.worker",
    "system-kick": "$SYS.REQ.SERVER.{server}.KICK",
    "unbound-events": "events.FORGED",
    "service-reply": "_R_.guess.x",
}
"""The server lets a request name any of these for its answer."""

REPLY_TO_B = {
    "event": "sandbox.{b_id}.events.FORGED",
    "work": "sandbox.{b_id}.work.x",
    "replay": "sandbox.{b_id}.replay",
    "inbox": "_INBOX_{b_hex}.x",
}
