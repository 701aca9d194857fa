"""Tells Discord what commands the bot has."""

from __future__ import annotations

import hashlib

import orjson
from loguru import logger

from bot.client import SandboxBot
from bot.stores.postgres import Pool, load_queries


async def sync_commands(bot: SandboxBot, pool: Pool, *, force: bool = False) -> bool:
    """Tell Discord our commands if they are not what it was told last; True if it was told."""
    sql = load_queries("commands")
    translator = bot.tree.translator
    assert translator is not None
    commands = bot.tree.get_commands()
    payload = [await command.get_translated_payload(bot.tree, translator) for command in commands]
    checksum = hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if not force and await pool.fetchval(sql["get_checksum"], bot.application_id) == checksum:
        return False
    await bot.tree.sync()
    await pool.execute(sql["set_checksum"], bot.application_id, checksum)
    logger.info("commands synced", commands=len(payload))
    return True
