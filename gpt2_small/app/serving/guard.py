"""Refuse requests of other origins or without the key, and bound their size."""

import ipaddress
import json
import secrets
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
MOST_BYTES = 2_000_000

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware that checks a request's Host, Origin and token.

    token: the first component of every path; None requires none.
    names: the accepted host names; with `any_address`, IP addresses are accepted too. Other names
        that resolve to this machine (DNS rebinding) are refused. The port is not compared, so that
        a tunnel (ssh -L) can use another.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        names: Collection[str] = LOOPBACK_NAMES,
        any_address: bool = False,
    ) -> None:
        self._app = app
        self._token = token
        self._names = {name.lower() for name in names}
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a WebSocket, which the server then refuses
        send = with_headers(send)
        refusal = self._refusal(Headers(scope=scope)) or self._path_refusal(scope)
        if refusal is not None:
            await refuse(send, *refusal)
            return
        await self._app(scope, BoundedBody(receive), send)

    def _refusal(self, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_known(hosts[0]):
            return 403, f"the host {', '.join(hosts)!r} is not this server; use its own address"
        for origin in headers.getlist("origin"):
            if origin_host(origin) != hosts[0].lower():
                return 403, f"a page of {origin!r} may not send requests to this server"
        return None

    def _is_known(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        return name in self._names or (self._any_address and _is_address(name))

    def _path_refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Remove the token from the path; return an error for a wrong or missing one."""
        if self._token is None:
            return None
        first = scope["path"].removeprefix("/").partition("/")[0]
        if not secrets.compare_digest(first.encode(), self._token.encode()):
            return 403, "this address lacks its key; open the one that gpt2-small printed"
        if scope["path"] == f"/{first}":
            return 404, "this address lacks the / at its end"
        scope["root_path"] = scope.get("root_path", "") + "/" + first
        return None


class BoundedBody:
    """A request's `receive` that raises BodyTooLong for a body of more than MOST_BYTES."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._bytes = receive, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            if self._bytes > MOST_BYTES:
                raise BodyTooLong(
                    f"a request of more than {MOST_BYTES:,} bytes is not read; send less"
                )
        return message


class BodyTooLong(Exception):
    """A request is too long."""


def with_headers(send: Send) -> Send:
    """Wrap `send` to add the security headers to every response."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sent


async def refuse(send: Send, status: int, sentence: str) -> None:
    """Respond with an error message in JSON."""
    body = json.dumps({"error": {"message": sentence, "type": "refused"}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def host_name(host: str) -> str | None:
    """The name in a Host header, without its port; None when it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host or parts.hostname is None:
        return None
    return parts.hostname.removesuffix(".")


def origin_host(origin: str) -> str | None:
    """The Host header that corresponds to an origin; None for an origin that is not a page's."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin:
        return None
    return parts.netloc.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def names_of(host: str) -> tuple[tuple[str, ...], bool]:
    """The accepted names of a server on this address, and whether IP addresses are accepted."""
    if host in LOOPBACK_NAMES:
        return LOOPBACK_NAMES, False
    return (*LOOPBACK_NAMES, host, socket.gethostname(), socket.getfqdn()), True
