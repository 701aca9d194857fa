"""`python -m tests.runbook.bot run`: the bot, but it knows sooner that PostgreSQL was restored from a backup."""

from bot import constants

constants.RESTORES_LAG_S = 1.0
constants.RESTORES_LOOKED_FOR_EVERY_S = 0.5

if __name__ == "__main__":
    from bot.__main__ import main

    main()
