"""Every fixed wait, limit and patience of the bot that is no setting, each with its reason.

What an operator should change stands in config.toml instead. Seconds end in `_S`; counts say of what. Read them as
`constants.NAME` when they are used, so that a test can change one.
"""

from __future__ import annotations

from bot.constants.check_limits import *
from bot.constants.discord_limits import *
from bot.constants.process_limits import *
from bot.constants.relay_limits import *
from bot.constants.routing_limits import *
from bot.constants.sandbox_limits import *
from bot.constants.store_limits import *
from bot.constants.store_waits import *
