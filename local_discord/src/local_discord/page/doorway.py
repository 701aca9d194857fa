"""Who may use the page: whoever was given its address, from that very page, and nobody else in the same browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hmac import compare_digest
from secrets import token_urlsafe

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_GUARDS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OWN_SITES = (None, "none", "same-origin")
"""What a browser says of a request that no other page has made; `none` is an address that somebody opened."""


class Doorway:
    """The address opens once with a token, which the browser keeps as a cookie that no script can read."""

    def __init__(self) -> None:
        self._token = token_urlsafe(32)
        self.origin = ""
        """`http://host:port` of the page; empty before it is served."""

    @property
    def url(self) -> str:
        """What is opened, or passed on."""
        return f"{self.origin}/?token={self._token}"

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """In front of everything."""
        self._check(request)
        response = self._enter() if self._shows_token(request) else await handler(request)
        if not response.prepared:
            for name, value in _GUARDS.items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    def _check(self, request: web.Request) -> None:
        """`HTTPForbidden` for a request that another page made, or that came by another name of this machine."""
        own = request.headers.get("Host") == self.origin.removeprefix("http://")
        asked_by = request.headers.get("Origin")
        if asked_by is None and request.method not in ("GET", "HEAD"):
            own = False
        if not own or asked_by not in (None, self.origin):
            raise web.HTTPForbidden(text="This page is opened by its own address alone.")
        if self._shows_token(request):
            return
        if request.headers.get("Sec-Fetch-Site") not in _OWN_SITES or not self._is_known(request):
            raise web.HTTPForbidden(text="This page is opened by the address with the token, which was printed.")

    def _is_known(self, request: web.Request) -> bool:
        return compare_digest(request.cookies.get(self._cookie, "").encode(), self._token.encode())

    def _shows_token(self, request: web.Request) -> bool:
        given = request.query.get("token", "")
        return request.path == "/" and request.method == "GET" and compare_digest(given.encode(), self._token.encode())

    def _enter(self) -> web.Response:
        """On to the same page without the token, which so gets into no history."""
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict", path="/")
        return response

    @property
    def _cookie(self) -> str:
        """Cookies don't tell ports apart, and several pages may be open."""
        return f"local_discord_{self.origin.rpartition(':')[2]}"
