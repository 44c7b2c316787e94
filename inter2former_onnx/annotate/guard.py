"""Who may talk to the page's server: every request needs the run's token, and a Host and an Origin that are ours.

A page of somebody else's, open in the same browser, can send requests to 127.0.0.1 too. It has no token; a request that
the browser sends for it carries its Origin; and a name of its own that it lets point here (DNS rebinding) is not in the
list of hosts.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 1 << 16
_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
_SAFE_METHODS = frozenset(("GET", "HEAD"))

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def new_token() -> str:
    """Draw a secret for one run: 256 random bits as text."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that lets through what may come in, and limits what it may send.

    The token comes in a cookie, which opening `/?token=...` sets, or in the header `Authorization: Bearer ...`.
    """

    def __init__(self, application: Application, token: str, port: int, host: str = "127.0.0.1") -> None:
        """Guard an application.

        Args:
            application: what answers the requests that are let through.
            token: the run's, from `new_token`.
            port: that the server listens on.
            host: the name or address that it listens on.
        """
        self._application = application
        self._token = token.encode()
        self._port = port
        self._names = {*_LOOPBACK_NAMES}
        self._open = host.strip("[]") not in _LOOPBACK_NAMES
        if self._open:
            self._names |= {host.strip("[]").lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        # Cookies do not tell ports apart: two runs on one machine would take turns without this.
        self._cookie = f"inter2former_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here: the connection is closed unanswered
        headers = _Headers(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        if scope["path"] == "/" and self._token_in_query(scope):
            # The token leaves the address bar, and with it the history.
            cookie = f"{self._cookie}={self._token.decode()}; Path=/; HttpOnly; SameSite=Lax"
            await _answer(send, 303, "", ((b"location", b"/"), (b"set-cookie", cookie.encode())))
            return
        await self._application(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope, headers: _Headers) -> tuple[int, str] | None:
        """Choose the status and text of the answer to a request that may not come in; None for one that may."""
        if not self._is_ours(headers.only("host") or "", with_scheme=False):
            return 421, "this server does not answer under that name"
        origin = headers.only("origin")
        if origin is not None and not self._is_ours(origin, with_scheme=True):
            return 403, "requests of other pages are refused"
        if headers.only("sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/":
            return 403, "requests of other pages are refused"
        by_header = self._token_in_header(headers)
        if not by_header and not self._token_in_cookie(headers):
            if scope["method"] == "GET" and scope["path"] == "/" and self._token_in_query(scope):
                return None
            return 401, "open the address that the inter2former command printed: it holds the token of this run"
        # Browsers say where a request that may change something comes from; whoever has the header needs no cookie.
        if scope["method"] not in _SAFE_METHODS and origin is None and not by_header:
            return 403, "a request with a cookie must say its origin"
        length = headers.only("content-length")
        if length is not None and (not length.isdigit() or int(length) > MAX_BODY_BYTES):
            return 413, f"at most {MAX_BODY_BYTES} bytes"
        return None

    def _is_ours(self, text: str, with_scheme: bool) -> bool:
        """Tell whether `host:port` (or `http://host:port`) is an address of this server."""
        try:
            parts = urlsplit(text if with_scheme else f"http://{text}")
            name, port = (parts.hostname or "").lower(), parts.port or 80
        except ValueError:
            return False
        if parts.scheme != "http" or parts.path or parts.query or parts.fragment or parts.username is not None:
            return False
        if port != self._port:
            return False
        # Rebinding needs a name: an address in digits can only be the one that the connection went to.
        return name in self._names or (self._open and _is_address(name))

    def _token_in_query(self, scope: Scope) -> bool:
        query = scope.get("query_string", b"").decode("latin-1")
        return any(self._is_token(value) for name, value in parse_qsl(query) if name == "token")

    def _token_in_header(self, headers: _Headers) -> bool:
        scheme, _, value = (headers.only("authorization") or "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(value)

    def _token_in_cookie(self, headers: _Headers) -> bool:
        try:
            cookies = SimpleCookie(headers.only("cookie") or "")
        except CookieError:
            return False
        return self._cookie in cookies and self._is_token(cookies[self._cookie].value)

    def _is_token(self, value: str) -> bool:
        return hmac.compare_digest(value.encode("utf-8", "surrogateescape"), self._token)


class _Headers:
    """Headers by lower-case name."""

    def __init__(self, scope: Scope) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def only(self, name: str) -> str | None:
        """Get the value, None without one; a header that comes twice has an unusable value."""
        values = self._values.get(name)
        if values is None:
            return None
        return values[0] if len(values) == 1 else "\0"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _limited(receive: Receive) -> Receive:
    """Make a `receive` that ends a request whose body, sent in pieces without a length, grows too long."""
    seen = 0

    async def receive_some() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > MAX_BODY_BYTES else message

    return receive_some


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return send_with_headers


async def _answer(send: Send, status: int, text: str, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    body = text.encode()
    fixed = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()))
    headers = [*fixed, (b"cache-control", b"no-store"), *more, *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
