import asyncio
import errno
import json
import logging
import sys
import warnings
from urllib.parse import quote, quote_plus

import pytest
from loguru import logger

from bot import log
from bot.cli import runtime


@pytest.fixture(autouse=True)
def _restore():
    yield
    logger.remove()


def test_facts_stand_at_the_end_of_the_line(capsys):
    log.configure()
    logger.info("sandbox created", sandbox=7)
    assert "sandbox created {'sandbox': 7}" in capsys.readouterr().err


def test_a_secret_is_blotted_out_of_messages_and_tracebacks(capsys):
    log.configure(secrets=["hunter22", ""])
    logger.info("connecting to redis://:hunter22@host")
    try:
        raise ValueError("hunter22 refused")
    except ValueError:
        logger.exception("failed")
    written = capsys.readouterr().err
    assert "hunter22" not in written
    assert "ValueError: ••• refused" in written


def test_json_lines_are_json(capsys):
    log.configure(json_lines=True)
    logger.info("ready", guilds=2)
    record = json.loads(capsys.readouterr().err)["record"]
    assert (record["message"], record["extra"]) == ("ready", {"guilds": 2})


SECRET = "h\"un\\t'er/2 é"
"""With all that JSON, Python and URLs write in their own ways."""


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_secret_is_blotted_out_however_it_is_written(capsys, json_lines):
    log.configure(json_lines=json_lines, secrets=[SECRET])
    address = f"redis://:{quote(SECRET, safe='')}@host"
    for said in (SECRET, json.dumps(SECRET), json.dumps({"a": [SECRET]}, ensure_ascii=False), repr(SECRET), address):
        logger.info("said: {}", said)
        logger.info("said", said=said, deeper={"address": address})
        logger.info("said", error=repr(ValueError(SECRET)))
    logger.info("said {}", quote_plus(SECRET))
    logger.info("said {}", repr(SECRET.encode()))
    written = capsys.readouterr().err
    assert "said" in written
    assert not [part for part in ("un\\", "un%5C", "un%5c", "er/2", "er%2F") if part in written]


def test_what_is_no_secret_stays(capsys):
    log.configure(secrets=["hunter22", "abc"])
    logger.info("abc hunter2")
    assert "abc hunter2" in capsys.readouterr().err


def test_a_line_without_facts_ends_with_its_message(capsys):
    log.configure()
    logger.info("ready")
    assert capsys.readouterr().err.endswith("ready\n")


def facts(capsys):
    """By each line's message."""
    records = [json.loads(line)["record"] for line in capsys.readouterr().err.splitlines()]
    return {record["message"]: record["extra"] for record in records}


async def test_each_line_said_for_a_request_has_its_ids_whichever_task_says_it(capsys):
    log.configure(json_lines=True)
    found = asyncio.Event()

    async def watch():
        await found.wait()
        logging.getLogger("discord.client").warning("watched")

    with log.context(interaction=2**60, guild=None):
        watching = asyncio.create_task(watch())
        logger.info("asked")
        log.note(sandbox="blue")
        logger.info("found", sandbox="red", count=2)
        found.set()
    await watching
    log.note(sandbox="nobody's")
    logger.info("afterwards")
    assert facts(capsys) == {
        "asked": {"interaction": "1152921504606846976"},
        "found": {"interaction": "1152921504606846976", "sandbox": "red", "count": 2},
        "watched": {"interaction": "1152921504606846976", "sandbox": "blue"},
        "afterwards": {},
    }


def test_a_module_has_a_level_of_its_own_and_a_library_none_below_info(capsys):
    log.configure("WARNING", levels={"bot.relay": "DEBUG", "discord": "DEBUG", "nats": "ERROR"}, json_lines=True)
    for name in ("bot.relay.http", "bot.routing", "discord.http", "nats.aio", "asyncpg.pool"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s %d", name, level)
    assert list(facts(capsys)) == [
        *(f"bot.relay.http {level}" for level in (10, 20, 30)),
        "bot.routing 30",
        *(f"discord.http {level}" for level in (20, 30)),
    ]


def test_nothing_is_said_when_a_tls_connection_of_a_store_ends(capsys):
    log.configure()
    for text in ("returning true from eof_received() has no effect when using ssl", "a socket is lost"):
        logging.getLogger("asyncio").warning(text)
    assert [line.rpartition(" asyncio ")[2] for line in capsys.readouterr().err.splitlines()] == ["a socket is lost"]


def strictly(line):
    def refuse(constant):
        raise ValueError(constant)

    return json.loads(line, parse_constant=refuse)["record"]


class Untold:
    def __repr__(self):
        raise RuntimeError("hunter22")


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        (2**53, 2**53),
        (-(2**60), str(-(2**60))),
        ([2**60, {"deep": (2**60,)}], [str(2**60), {"deep": [str(2**60)]}]),
        (True, True),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ({(1, 2): b"\xff"}, {"(1, 2)": "b'\\xff'"}),
        ("\ud800", "\ud800"),
        (Untold(), "Untold that cannot be told: RuntimeError"),
    ],
)
def test_whatever_a_fact_is_its_line_is_strict_json(capsys, fact, told):
    log.configure(json_lines=True, secrets=["hunter22"])
    with log.context(around=fact):
        logger.info("said", fact=fact)
    assert strictly(capsys.readouterr().err)["extra"] == {"fact": told, "around": told}


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_fact_within_itself_does_not_lose_the_line(capsys, json_lines):
    log.configure(json_lines=json_lines)
    logger.info("said", circle=CIRCLE)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("json_lines", [False, True])
@pytest.mark.parametrize("arguments", [("a",), (Untold(),)])
def test_a_library_that_logs_wrongly_does_not_fail_by_it(capsys, json_lines, arguments):
    log.configure(json_lines=json_lines)
    logging.getLogger("library").warning("%d of them", *arguments)
    assert "%d of them (its facts cannot be told)" in capsys.readouterr().err


FORGED = "a\r\n2026-11-30 12:00:00.000 ERROR   bot forged\x1b[2J\x1b]0;title\x07\x9b\u2028\u0085\u202eend"


def test_what_others_say_ends_no_line_of_json_for_any_reader_and_comes_whole(capsys):
    log.configure(json_lines=True)
    logging.getLogger("library").warning(FORGED)
    logger.info("said", fact=FORGED)
    lines = capsys.readouterr().err.splitlines()  # at the ends that Unicode has, too
    assert [strictly(line)["message"] for line in lines] == [FORGED, "said"]
    assert strictly(lines[1])["extra"] == {"fact": FORGED}
    assert all(line.isprintable() for line in lines)


def test_what_others_say_looks_like_no_line_of_the_log_and_steers_no_terminal(capsys):
    log.configure()
    logging.getLogger("library").warning(FORGED)
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.exception("failed")
    written = capsys.readouterr().err
    lines = written.split("\n")[:-1]
    assert [line.split()[2] for line in lines if not line.startswith("    ")] == ["WARNING", "ERROR"]
    assert written.replace("\n", "").isprintable()
    assert "\\u001b[2J" in written


class Full:
    """A disk without room, or a pipe that nobody reads any more."""

    def isatty(self):
        return False

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self):
        raise AssertionError("it is not reached")


def test_where_there_is_no_room_for_a_line_it_is_lost_and_nothing_else(capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", Full())
        log.configure(json_lines=True, secrets=["hunter22"])
        logger.info("hunter22")
        patch.setattr("sys.stderr", None)  # closed before the start
        assert not log.is_terminal()
        log.configure(json_lines=True)
        logger.info("lost")
    logger.info("room again")
    assert list(facts(capsys)) == ["room again"]


def test_what_a_process_ends_with_and_pythons_warnings_are_lines_like_others(capsys, monkeypatch):
    monkeypatch.setattr("sys.excepthook", sys.excepthook)
    logging.captureWarnings(False)
    log.configure(json_lines=True, secrets=["hunter22"])
    warnings.simplefilter("always")
    warnings.warn("hunter22 is old", stacklevel=1)
    try:
        raise ValueError("hunter22")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    logging.captureWarnings(False)
    warned, ended = capsys.readouterr().err.splitlines()
    assert (strictly(warned)["name"], strictly(warned)["level"]["name"]) == ("py.warnings", "WARNING")
    assert (strictly(ended)["message"], strictly(ended)["exception"]["value"]) == ("the process has failed", "•••")


@pytest.mark.parametrize(("chosen", "is_json"), [("", True), ("false", False), ("true", True)])
def test_off_a_terminal_lines_are_json_unless_it_is_said_otherwise(capsys, monkeypatch, tmp_path, chosen, is_json):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOT_LOG__JSON_LINES", chosen)
    runtime.read_settings(None)
    logger.info("ready")
    assert capsys.readouterr().err.startswith("{") is is_json
