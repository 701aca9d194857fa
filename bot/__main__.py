"""`python -m bot`, the same as `sandbox-bot`."""

from __future__ import annotations

import os
import sys

from bot.private_api import UnsupportedLibrary


def main() -> None:
    """The entry point. The commands are imported here, for that alone may find that a library does not fit."""
    try:
        from bot.cli import main as run

        run()
    except UnsupportedLibrary as error:  # which release is installed is configuration
        sys.stderr.write(f"sandbox-bot: {error}\n")
        sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    main()
