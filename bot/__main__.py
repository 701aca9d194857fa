"""`python -m bot`, the same as `sandbox-bot`."""

from bot.cli import main

main()
