"""What needs no service: settings that don't fit each other, versions, and this machine."""

from __future__ import annotations

import platform
import resource
import shutil
from collections.abc import AsyncIterator
from importlib.metadata import version

from bot import constants
from bot.cli.check.surroundings import Surroundings
from bot.durations import format_duration
from bot.findings import Finding, ok, warning
from bot.i18n import gettext
from bot.private_api import LIBRARIES

_MEGABYTE = 1024 * 1024


async def limits(found: Surroundings) -> AsyncIterator[Finding]:
    """What loading them refuses has its own sentence, and nothing is checked then."""
    chosen = found.settings.sandboxes
    yield ok(gettext("Every setting is known and has a value that it may have."))
    if chosen.warn_before >= chosen.default_ttl:
        yield warning(
            gettext(
                "sandboxes.warn_before is {before}, and sandboxes live for {ttl}: owners are warned at once.",
                before=format_duration(chosen.warn_before),
                ttl=format_duration(chosen.default_ttl),
            ),
            gettext("Lower warn_before, or raise default_ttl."),
        )
    if found.settings.nats.stream_max_age < chosen.grace:
        yield warning(
            gettext("nats.stream_max_age is below sandboxes.grace: events are gone when a sandbox is brought back."),
            gettext("Raise stream_max_age, or lower grace."),
        )


async def versions(found: Surroundings) -> AsyncIterator[Finding]:
    """Of the bot and of the libraries whose private parts it uses."""
    yield ok(
        gettext(
            "sandbox-bot {version} on Python {python}.",
            version=version("discord-sandboxes"),
            python=platform.python_version(),
        )
    )
    for library in LIBRARIES.values():
        if library.installed != library.supported:
            yield warning(
                gettext(
                    "{library} {installed} is installed, and the bot is made for {supported}.",
                    library=library.name,
                    installed=library.installed,
                    supported=library.supported,
                ),
                gettext("Run `pip install {library}=={supported}`.", library=library.name, supported=library.supported),
            )


async def machine(found: Surroundings) -> AsyncIterator[Finding]:
    """File descriptors, and the disk of the embedded stores."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < constants.CHECK_LEAST_DESCRIPTORS:
        yield warning(
            gettext(
                "A process may open {allowed} files and connections here, and a bot with a relay needs more.",
                allowed=allowed,
            ),
            gettext(
                "Set LimitNOFILE of its unit, or `ulimit -n`, to {least} or more.",
                least=constants.CHECK_LEAST_DESCRIPTORS,
            ),
        )
    folder, nats, isolation = found.settings.embedded.folder, found.settings.nats, found.settings.isolation
    if not found.settings.embedded_stores or not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free // _MEGABYTE
    wanted = found.settings.sandboxes.max_per_owner * nats.stream_max_megabytes + isolation.max_megabytes
    if free < wanted:
        yield warning(
            gettext(
                "The disk of {folder} has {free} MB left. One developer's streams and one sandbox's tables may take "
                "{wanted}.",
                folder=folder.absolute(),
                free=free,
                wanted=wanted,
            ),
            gettext(
                "Make room, or lower sandboxes.max_per_owner, nats.stream_max_megabytes or isolation.max_megabytes."
            ),
        )
    else:
        yield ok(gettext("The disk of {folder} has {free} MB left.", folder=folder.absolute(), free=free))


async def stores(found: Surroundings) -> AsyncIterator[Finding]:
    """Which are embedded, and whose processes they are."""
    addresses, settings = await found.addresses.wait(), found.settings
    if not settings.embedded_stores:
        yield ok(gettext("The stores are servers of your own."))
    elif addresses.embedded is None:
        yield ok(
            gettext(
                "A bot runs on {folder}; a second one would be refused there. For a standby give both servers of "
                "their own (DATABASE_URL, REDIS_URL, NATS_URL).",
                folder=settings.embedded.folder.absolute(),
            )
        )
    else:
        yield ok(
            gettext("No bot runs on {folder}: its servers were started to be asked.", folder=settings.embedded.folder)
        )
