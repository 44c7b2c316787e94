"""Who may talk to the page's server: every request needs the run's token, and a Host and an Origin that are ours.

A page of somebody else's, open in the same browser, can send requests to 127.0.0.1 too. It has no token; a request that
the browser sends for it carries its Origin; and a name of its own that it lets point here (DNS rebinding) is not in the
list of hosts. A proxy, an ssh tunnel or a container's mapped port gives the page another name or port too: such
origins are let in when the person who started the run has named them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ..errors import ArgumentError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 1 << 16
_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
_SAFE_METHODS = frozenset(("GET", "HEAD"))
_NAME = re.compile(r"[a-z0-9._-]+", re.ASCII)
_USUAL_PORTS = {"http": 80, "https": 443}

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


# The page's style sheets are behind the token too, so a refusal has a style of its own.
_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em}h1{font-size:1.4em}"
_STYLE_SUM = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_REFUSAL_POLICY = _POLICY.replace("style-src 'self'", f"style-src 'sha256-{_STYLE_SUM}'")
_REFUSAL = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>inter2former annotate</title>
<style>{style}</style>
<h1>This page cannot be opened like this</h1>
<p>{text}</p>
</html>
"""
_NO_TOKEN = (
    "open the address that the inter2former command printed: it holds the token of this run. It is in the terminal "
    "that the command was started in, as http://.../?token=..., and each run has another one"
)


class Origin(NamedTuple):
    """Where a page comes from: scheme, name and port."""

    scheme: str
    name: str
    port: int

    @property
    def text(self) -> str:
        """The origin as browsers write it."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{self.scheme}://{name}" + ("" if self.port == _USUAL_PORTS[self.scheme] else f":{self.port}")


def parse_origin(text: str) -> Origin:
    """Read an origin, `http://name:port` or `https://name:port`, with or without the usual port.

    Raises:
        ArgumentError: it is something else, such as an address with a path.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    name = parts.hostname or ""
    rest = parts.path or parts.query or parts.fragment or parts.username is not None or parts.password is not None
    named = text.isprintable() and (_NAME.fullmatch(name) or _is_address(name))
    if parts.scheme not in _USUAL_PORTS or rest or port == 0 or not named:
        raise ArgumentError(f"{text!r:.120}: expected http://NAME:PORT or https://NAME, without a path")
    return Origin(parts.scheme, name, port or _USUAL_PORTS[parts.scheme])


def new_token() -> str:
    """Draw a secret for one run: 256 random bits as text."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that lets through what may come in, and limits what it may send.

    The token comes in a cookie, which opening `/?token=...` sets, or in the header `Authorization: Bearer ...`.
    """

    def __init__(
        self,
        application: Application,
        token: str,
        port: int,
        host: str = "127.0.0.1",
        allowed: Collection[Origin] = (),
    ) -> None:
        """Guard an application.

        Args:
            application: what answers the requests that are let through.
            token: the run's, from `new_token`.
            port: that the server listens on.
            host: the name or address that it listens on.
            allowed: origins under which others lead here: proxies, tunnels, mapped ports.
        """
        self._application = application
        self._token = token.encode()
        self._port = port
        self._allowed = frozenset(allowed)
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
            shown = scope["path"] == "/" and "text/html" in (headers.only("accept") or "")
            await _answer(send, *refusal, as_page=shown)
            return
        if scope["path"] == "/" and self._token_in_query(scope):
            # The token leaves the address bar, and with it the history. A proxy may have put the page under a path:
            # that is the cookie's path, too, where none is named.
            cookie = f"{self._cookie}={self._token.decode()}; HttpOnly; SameSite=Lax"
            await _answer(send, 303, "", ((b"location", b"./"), (b"set-cookie", cookie.encode())))
            return
        await self._application(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope, headers: _Headers) -> tuple[int, str] | None:
        """Choose the status and text of the answer to a request that may not come in; None for one that may."""
        host, origin = headers.only("host") or "", headers.only("origin")
        if not self._is_our_host(host):
            scheme = "https" if headers.only("x-forwarded-proto") == "https" else "http"
            return 421, f"this server does not answer under that name{_remedy(f'{scheme}://{host}')}"
        if origin is not None and not self._is_our_origin(origin):
            return 403, f"requests of other pages are refused{_remedy(origin)}"
        if headers.only("sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/":
            return 403, "requests of other pages are refused"
        by_header = self._token_in_header(headers)
        if not by_header and not self._token_in_cookie(headers):
            if scope["method"] == "GET" and scope["path"] == "/" and self._token_in_query(scope):
                return None
            return 401, _NO_TOKEN
        # Browsers say where a request that may change something comes from; whoever has the header needs no cookie.
        if scope["method"] not in _SAFE_METHODS and origin is None and not by_header:
            return 403, "a request with a cookie must say its origin"
        length = headers.only("content-length")
        if length is not None and (not length.isdigit() or int(length) > MAX_BODY_BYTES):
            return 413, f"at most {MAX_BODY_BYTES} bytes"
        return None

    def _is_our_host(self, host: str) -> bool:
        """Tell whether `name:port` is an address of this server, or one that leads here."""
        for scheme, usual in _USUAL_PORTS.items():
            try:
                found = parse_origin(f"{scheme}://{host}")
            except ArgumentError:
                return False
            if found in self._allowed or (usual == 80 and self._is_own(found)):
                return True
        return False

    def _is_our_origin(self, origin: str) -> bool:
        """Tell whether pages of an origin are this server's."""
        try:
            found = parse_origin(origin)
        except ArgumentError:
            return False
        return found in self._allowed or self._is_own(found)

    def _is_own(self, origin: Origin) -> bool:
        if origin.scheme != "http" or origin.port != self._port:
            return False
        # Rebinding needs a name: an address in digits can only be the one that the connection went to.
        return origin.name in self._names or (self._open and _is_address(origin.name))

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


def _remedy(origin: str) -> str:
    """Say how to let an origin in; nothing where it is none."""
    try:
        text = parse_origin(origin).text
    except ArgumentError:
        return ""
    return (
        f". If {text} is a proxy, a tunnel or a mapped port of yours, end the command and start it again with "
        f"--allow-origin {text} (with http or https as the address bar has it)"
    )


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


async def _answer(
    send: Send, status: int, text: str, more: tuple[tuple[bytes, bytes], ...] = (), as_page: bool = False
) -> None:
    if as_page:
        text = _REFUSAL.format(style=_STYLE, text=html.escape(f"{text[:1].upper()}{text[1:]}."))
    body = text.encode()
    kind = b"text/html; charset=utf-8" if as_page else b"text/plain; charset=utf-8"
    fixed = ((b"content-type", kind), (b"content-length", str(len(body)).encode()))
    headers = [*fixed, (b"cache-control", b"no-store"), *more, *_HEADERS]
    if as_page:
        headers = [(name, _REFUSAL_POLICY.encode() if value == _POLICY.encode() else value) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
