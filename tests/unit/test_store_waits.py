"""Fixed waits for stores stand in one table, and each has room for what a slow line takes."""

from __future__ import annotations

import ast
from pathlib import Path

from bot.constants import store_waits

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("bot", "sandbox_worker/src")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.is_relative_to(ROOT / "bot" / "demo") and path.name != "__main__.py"
]
WAITS = {name: value for name, value in vars(store_waits).items() if name.isupper() and isinstance(value, int | float)}
LIMITS = frozenset({"timeout", "command_timeout", "connect_timeout", "socket_timeout", "socket_connect_timeout"})
OF_NATS = {"request": 2, "flush": 0, "rtt": None, "jetstream": 0, "next_msg": 0}
"""Methods of nats-py that wait for a time of its own if none is given, and which argument says how long; `rtt` is asked
within a time of ours."""


def name_of(call):
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def limits_of(call):
    """What says how long it may take, as far as the call itself does."""
    given = [keyword.value for keyword in call.keywords if keyword.arg in LIMITS]
    is_timeout = name_of(call) in {"timeout", "wait_for"} and isinstance(call.func, ast.Attribute)
    return given + (call.args[-1:] if is_timeout and getattr(call.func.value, "id", "") == "asyncio" else [])


def is_number(node):
    return isinstance(node, ast.Constant) and node.value is not None


def leaves_it_to_nats_py(call):
    place = OF_NATS.get(name_of(call))
    is_a_logs = "refusals" in ast.unparse(call.func) or ast.unparse(call.func) == "self.flush"
    return place is not None and len(call.args) <= place and not limits_of(call) and not is_a_logs


def test_no_wait_is_a_number_in_the_code_or_for_as_long_as_nats_py_likes():
    numbers, implied = [], []
    for path in SOURCES:
        text = path.read_text()
        if not any(word in text for word in ("timeout", "wait_for", "from nats")):
            continue
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            numbers += [where for limit in limits_of(call) if is_number(limit)]
            implied += [where] * ("from nats" in text and leaves_it_to_nats_py(call))
    assert (numbers, implied) == ([], [])


def test_each_wait_is_longer_than_a_slow_round_trip_with_some_room():
    firsts = {name: seconds for name, seconds in WAITS.items() if "OTHERS" not in name and name != "SLOW_ROUND_TRIP_S"}
    assert min(firsts.values()) >= 1.5 * store_waits.SLOW_ROUND_TRIP_S, firsts


def test_what_is_told_of_two_waits_holds_for_both():
    from bot import constants
    from sandbox_worker import constants as kit

    slow = constants.SLOW_ROUND_TRIP_S
    assert constants.NATS_LOGIN_ANSWER_WITHIN_S + 2 * slow <= kit.CONNECT_TIMEOUT_S < 3
    for stall in (constants.FORWARDED_ANSWER_WITHIN_S, constants.OWN_INTERACTION_KNOWN_WITHIN_S):
        assert stall + constants.PROMISE_AFTER_S <= 1.5
    assert constants.OWN_MESSAGES_ANSWER_WITHIN_S < constants.PROMISE_AFTER_S
    assert constants.ACTIVITY_ANSWERED_WITHIN_S + constants.HEALTH_TIMEOUT_S + 4 * slow < constants.WORK_WITHIN_S
    assert constants.HEARTBEAT_EVERY_S < constants.TAKEN_OVER_AFTER_S / 2
