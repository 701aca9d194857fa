"""`python -m tests.e2e.short_leases run`: the bot, but its leases run out soon, so that a test need not wait for it."""

from bot import constants

constants.LEASE_S, constants.LEASE_RENEWED_EVERY_S, constants.LEASE_ANSWER_WITHIN_S = 2.0, 0.3, 0.8
constants.LEASE_DOUBTED_AFTER_S = 1.15

if __name__ == "__main__":
    from bot.__main__ import main

    main()
