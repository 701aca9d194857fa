"""Commands that need the manager and no Discord."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from bot.cli.invocation import complete, read_settings
from bot.cli.views import progress
from bot.control_plane import make_orphan_collector, open_control_plane
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.manager import SandboxManager
from bot.settings import Settings
from bot.stores.opening import Stores, open_stores


def managed[ResultT](
    work: Callable[[SandboxManager], Awaitable[ResultT]],
    config: Path | None,
    doing: str | None = None,
    *,
    as_json: bool,
) -> ResultT:
    """The result of the work; `doing` is shown on a terminal meanwhile."""
    return complete_managed(read_settings(config, quiet=True, as_json=as_json), work, doing, as_json=as_json)


def complete_managed[ResultT](
    settings: Settings, work: Callable[[SandboxManager], Awaitable[ResultT]], doing: str | None, *, as_json: bool
) -> ResultT:
    return _complete(settings, lambda _, manager: work(manager), doing, as_json=as_json)


def complete_collecting[ResultT](
    settings: Settings, work: Callable[[OrphanCollector], Awaitable[ResultT]], doing: str | None, *, as_json: bool
) -> ResultT:
    def collect(stores: Stores, manager: SandboxManager) -> Awaitable[ResultT]:
        return work(make_orphan_collector(settings, stores, manager))

    return _complete(settings, collect, doing, as_json=as_json)


def _complete[ResultT](
    settings: Settings,
    work: Callable[[Stores, SandboxManager], Awaitable[ResultT]],
    doing: str | None,
    *,
    as_json: bool,
) -> ResultT:
    async def run() -> ResultT:
        async with open_stores(settings, share=True) as stores, open_control_plane(settings, stores) as manager:
            return await work(stores, manager)

    with progress(doing, quiet=as_json):
        return complete(run(), as_json=as_json)
