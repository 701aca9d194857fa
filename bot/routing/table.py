"""Which guild's events go where, until when. Pure: it asks no clock and no store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """Where a guild's events go: subjects begin with `prefix`, and from `expires_at` (`clock.elapsed`) on nothing
    goes."""

    prefix: str
    expires_at: float


class RouteTable:
    """Kept true by reads of PostgreSQL that may overlap.

    A read takes a version before it begins, and what an older version brings never replaces what a newer one has
    brought. So a slow read, which saw a guild still bound, cannot revive the route that a later one has removed.
    """

    def __init__(self) -> None:
        self._routes: dict[int, Route] = {}
        self._last_version = 0
        self._full_version = 0
        """Of the newest read of all routes: every guild is at least that new, and older reads have nothing to say."""
        self._guild_versions: dict[int, int] = {}
        """Of guilds that were read alone since then. Also of unbound ones, or else an older read would revive them."""

    def __len__(self) -> int:
        return len(self._routes)

    def lookup(self, guild_id: int, now: float) -> Route | None:
        """The guild's route; None if it has none, or had one until `now` (`clock.elapsed`) at the latest."""
        route = self._routes.get(guild_id)
        return route if route is not None and now < route.expires_at else None

    def guilds_by_prefix(self, now: float) -> dict[str, list[int]]:
        """The guilds that go to each sandbox just now."""
        found: dict[str, list[int]] = {}
        for guild_id, route in self._routes.items():
            if now < route.expires_at:
                found.setdefault(route.prefix, []).append(guild_id)
        return found

    def next_version(self) -> int:
        """To be taken before the read begins: taken after, a slow read would pass for a new one."""
        self._last_version += 1
        return self._last_version

    def replace(self, version: int, routes: Mapping[int, Route]) -> None:
        """All routes as they were read; guilds that a newer read has told of stay as that said."""
        if version <= self._full_version:
            return
        newer = {guild_id: read for guild_id, read in self._guild_versions.items() if read > version}
        kept = {guild_id: self._routes[guild_id] for guild_id in newer if guild_id in self._routes}
        fresh = {guild_id: route for guild_id, route in routes.items() if guild_id not in newer}
        self._routes = fresh | kept
        self._guild_versions = newer  # the rest is covered by the full version, so this never grows for ever
        self._full_version = version

    def update(self, version: int, guild_ids: Iterable[int], routes: Mapping[int, Route]) -> None:
        """Some guilds' routes as they were read; one without a route has none any more."""
        if version <= self._full_version:
            return
        for guild_id in guild_ids:
            if version <= self._guild_versions.get(guild_id, 0):
                continue
            self._guild_versions[guild_id] = version
            route = routes.get(guild_id)
            if route is None:
                self._routes.pop(guild_id, None)
            else:
                self._routes[guild_id] = route
