"""Who may talk to the desk: whoever has its token, by its own address, from its own pages.

Any page of the web can make a browser ask 127.0.0.1, and a name that its owner points there passes for the
same origin. So every request and every websocket must name this desk as its Host, must come from nowhere
else (Origin), and must have the token: in the address the first time, in a cookie that no other site's
request carries from then on. `Guard` stands before the whole application.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_BYTES = 24
KEY = "token"

# A websocket that is refused before it is accepted is answered with 403.
POLICY_VIOLATION = 1008

LOCAL = ("127.0.0.1", "localhost", "[::1]")
EVERYWHERE = ("0.0.0.0", "::")

NO_TOKEN = "This desk wants the token that it printed when it was started: open the whole address from there."
FOREIGN_HOST = "This desk does not answer to that name: open it by the address that it printed."
FOREIGN_ORIGIN = "This request comes from a page of another site, and was not carried out."

HEADERS = (
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guard:
    """An application before the desk's own; `address` and `port` are what it is bound to."""

    def __init__(self, app: ASGIApp, token: str, address: str, port: int) -> None:
        self._app = app
        self._token = token
        self._port = port
        self._anywhere = address in EVERYWHERE
        shown = f"[{address}]" if ":" in address else address
        self._hosts = {f"{name}:{port}" for name in (*LOCAL, shown)}
        # Cookies know no ports: two desks on one machine must not overwrite each other's.
        self.cookie = f"thecal-desk-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        why = self._why_foreign(headers)
        given = None if why else dict(parse_qsl(scope["query_string"].decode("latin-1"))).get(KEY)
        if not why and not self._is_token(given) and not self._is_token(self._kept(headers)):
            why = NO_TOKEN
        if why:
            await self._refuse(why, scope, receive, send)
        elif given is not None and scope["type"] == "http":
            await self._welcome(scope)(scope, receive, send)
        else:
            await self._app(scope, receive, self._with_headers(send))

    def _why_foreign(self, headers: Iterable[tuple[bytes, str]]) -> str:
        """What is wrong with where a request comes from and goes to; empty if nothing."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return FOREIGN_HOST
        for origin in (value for name, value in headers if name == b"origin"):
            scheme, _, host = origin.partition("://")
            if scheme != "http" or host.lower() != hosts[0].lower():
                return FOREIGN_ORIGIN
        return ""

    def _is_ours(self, host: str) -> bool:
        if host.lower() in self._hosts:
            return True
        if not self._anywhere or not host.endswith(f":{self._port}"):
            return False
        # By a number only: a name may be somebody's who points it here.
        try:
            ipaddress.ip_address(host.rpartition(":")[0].strip("[]"))
        except ValueError:
            return False
        return True

    def _is_token(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self._token.encode())

    def _kept(self, headers: Iterable[tuple[bytes, str]]) -> str | None:
        for value in (value for name, value in headers if name == b"cookie"):
            try:
                morsel = SimpleCookie(value).get(self.cookie)
            except CookieError:
                continue
            if morsel is not None:
                return morsel.value
        return None

    def _welcome(self, scope: Scope) -> Response:
        """To the same page without the token, which the browser keeps from now on."""
        asked = parse_qsl(scope["query_string"].decode("latin-1"))
        rest = urlencode([pair for pair in asked if pair[0] != KEY])
        # Not "//host/": that would lead away from here.
        path = "/" + scope["path"].lstrip("/")
        answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        answer.set_cookie(self.cookie, self._token, httponly=True, samesite="strict")
        answer.raw_headers.extend(HEADERS)
        return answer

    async def _refuse(self, why: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": why})
        else:
            await PlainTextResponse(f"{why}\n", 403)(scope, receive, send)

    def _with_headers(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        return sent
