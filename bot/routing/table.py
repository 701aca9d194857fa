"""Which guild's events go where, until when. Pure: it asks no clock and no store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """Where a guild's events go: subjects begin with `prefix`, and from `expires_at` (Unix time) on nothing goes."""

    prefix: str
    expires_at: float


class RouteTable:
    """Kept true by reads of PostgreSQL that may overlap: a read gets a ticket before it begins, and what an older
    ticket brings never replaces what a newer one has brought. So a slow read cannot revive a route.
    """

    def __init__(self) -> None:
        self._routes: dict[int, Route] = {}
        self._tickets = 0
        self._whole = 0
        self._since: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._routes)

    def lookup(self, guild_id: int, now: float) -> Route | None:
        route = self._routes.get(guild_id)
        return route if route is not None and now < route.expires_at else None

    def by_prefix(self, now: float) -> dict[str, list[int]]:
        """The guilds that go to each sandbox just now."""
        found: dict[str, list[int]] = {}
        for guild_id, route in self._routes.items():
            if now < route.expires_at:
                found.setdefault(route.prefix, []).append(guild_id)
        return found

    def ticket(self) -> int:
        """To be taken before the read begins."""
        self._tickets += 1
        return self._tickets

    def replace(self, ticket: int, routes: Mapping[int, Route]) -> None:
        """All routes as they were read; guilds that a newer read has told of stay as that said."""
        if ticket <= self._whole:
            return
        newer = {guild_id: since for guild_id, since in self._since.items() if since > ticket}
        kept = {guild_id: self._routes[guild_id] for guild_id in newer if guild_id in self._routes}
        fresh = {guild_id: route for guild_id, route in routes.items() if guild_id not in newer}
        self._routes = fresh | kept
        self._since = newer
        self._whole = ticket

    def update(self, ticket: int, guild_ids: Iterable[int], routes: Mapping[int, Route]) -> None:
        """Some guilds' routes as they were read; one without a route has none any more."""
        if ticket <= self._whole:
            return
        for guild_id in guild_ids:
            if ticket <= self._since.get(guild_id, 0):
                continue
            self._since[guild_id] = ticket
            route = routes.get(guild_id)
            if route is None:
                self._routes.pop(guild_id, None)
            else:
                self._routes[guild_id] = route
