import json

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
