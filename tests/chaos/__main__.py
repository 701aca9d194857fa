"""Random operations from several processes beside a bot, while everything breaks; then all has to be right.

    python -m tests.chaos --operations 500 --seed 1

Stores and bot are killed and stand still, lines are half open, disks are full (for root alone), clocks jump. With the
same seed the same is asked for and the same breaks, at the same times; how the two meet is up to the machine.
Ends with 1 unless nothing is stuck, lost, left behind, done twice or told wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import shlex
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from loguru import logger

from tests.chaos.disks import leave_mounts_to_this_process, mounted
from tests.chaos.run import Chaos, Order
from tests.chaos.strikes import HITS
from tests.faults import wrong_clock

ROOT = Path(__file__).parents[2]
WRONG_CLOCK = Path(next(iter(wrong_clock.__path__)))


def main() -> None:
    chosen = read_arguments()
    logger.remove()
    logging.disable()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where who has started it ignores them
        signal.signal(number, signal.default_int_handler)
    print(f"seed {chosen.seed}", flush=True)  # noqa: T201
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        # Of every process that is started from here on, as all of them run on the bot's machine.
        os.environ |= {"WRONG_CLOCK": str(folder / "clock"), "PYTHONPATH": f"{WRONG_CLOCK}:{ROOT}"}
        chaos = Chaos(make_order(chosen, folder, stack))
        failed = run(chaos)
    tell(chaos)
    if failed is not None:
        seed = [] if "--seed" in sys.argv else ["--seed", str(chosen.seed)]
        again = shlex.join(["python", "-m", "tests.chaos", *sys.argv[1:], *seed])
        sys.exit(f"WRONG: {failed}\nAgain: {again}\nWhat was done: {chosen.trace}, and the bot's log beside it")
    print("0 orphans, 0 stuck, every change once, every event once")  # noqa: T201


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600, help="the time after which no operation begins")
    parser.add_argument(
        "--faults", nargs="+", metavar="WORD", default=[""], help=f"those with such words alone, of {', '.join(HITS)}"
    )
    parser.add_argument("--trace", type=Path, help="the file to write down in what was done")
    chosen = parser.parse_args()
    chosen.trace = chosen.trace or Path(tempfile.gettempdir()) / f"chaos-{chosen.seed}.txt"
    return chosen


def make_order(chosen: argparse.Namespace, folder: Path, stack: ExitStack) -> Order:
    faults = [name for name in HITS if any(word in name for word in chosen.faults)]
    if fills := leave_mounts_to_this_process():
        disks = stack.enter_context(mounted(folder / "data"))
    else:
        print("no disk is filled: that takes file systems of its own, which only root may mount")  # noqa: T201
        disks = {}
    log = chosen.trace.with_suffix(".log")
    log.unlink(missing_ok=True)
    return Order(
        folder=folder,
        trace=stack.enter_context(chosen.trace.open("w", buffering=1)),
        log=log,
        seed=chosen.seed,
        operations=chosen.operations,
        processes=chosen.processes,
        seconds=chosen.seconds,
        faults=[name for name in faults if fills or "disk" not in name],
        disks=disks,
    )


def run(chaos: Chaos) -> str | None:
    """What is wrong."""
    try:
        asyncio.run(chaos.run())
    except AssertionError as error:
        return str(error) or repr(error)
    except BaseExceptionGroup as group:
        wrong, others = group.split(AssertionError)
        if others is not None:
            raise
        return "; ".join(str(error) for error in leaves(wrong))
    return None


def leaves(error: BaseException | None) -> list[BaseException]:
    """The errors that a group holds, whatever groups they are in."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error] if error is not None else []


def tell(chaos: Chaos) -> None:
    ledger = chaos.ledger
    done = {outcome or "done": count for outcome, count in sorted(ledger.outcomes.items())}
    print(f"{sum(done.values())} operations in {chaos.took_s:.0f} s, {ledger.repeats} asked for again: {done}")  # noqa: T201
    print(f"{chaos.struck.total()} faults: {dict(sorted(chaos.struck.items()))}")  # noqa: T201
    print(f"the bot has ended, by exit code: {dict(chaos.exits)}")  # noqa: T201
    print(f"{chaos.messages} events of sandboxes that stay, with {chaos.gaps} gaps marked")  # noqa: T201


if __name__ == "__main__":
    main()
