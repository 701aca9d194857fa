"""Every fixed wait, limit and patience of the bot that is no setting, each with its reason.

What an operator should change stands in config.toml instead. Seconds end in `_S`; counts say of what. Read them as
`constants.NAME` when they are used, so that a test can change one.
"""

from __future__ import annotations

from bot.constants.control_plane import *
from bot.constants.data_plane import *
from bot.constants.discord import *
from bot.constants.processes import *
from bot.constants.stores import *
