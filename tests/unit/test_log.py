import asyncio
import json
import logging
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


@pytest.mark.parametrize(("chosen", "is_json"), [("", True), ("false", False), ("true", True)])
def test_off_a_terminal_lines_are_json_unless_it_is_said_otherwise(capsys, monkeypatch, tmp_path, chosen, is_json):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOT_LOG__JSON_LINES", chosen)
    runtime.read_settings(None)
    logger.info("ready")
    assert capsys.readouterr().err.startswith("{") is is_json
