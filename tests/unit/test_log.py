import json
from urllib.parse import quote, quote_plus

import pytest
from loguru import logger

from bot import log


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
