"""`python -m tests.alerts.bot run`: the bot, but what it remembers for minutes it forgets sooner."""

from bot import constants

constants.CENSUS_EVERY_S = 1.0
constants.RELAY_INVALID_COUNTED_FOR_S = 60.0
constants.RELAY_INVALID_REQUESTS = 2000
"""One sandbox stands for twenty."""
constants.NOTICE_MAX_BACKOFF_S = 5.0

if __name__ == "__main__":
    from bot.__main__ import main

    main()
