"""The outermost layer of the API: who may ask, how errors become problems, and what happens to an unread request body.

The API listens on loopback only, but a browser on this machine will send requests there for any web page. Such a
page knows no token; and by the Host header a page that had its name rebound to 127.0.0.1 is turned away before that.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from http import HTTPStatus

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from p2pnode.api.problems import Problem, problem_of
from p2pnode.errors import ExitCode, P2PNodeError

DRAIN_BYTES_MAX = 16 * 1024 * 1024
"""How much of a refused body is still read: closing a socket with unread bytes can destroy the answer on its way."""

DRAIN_S_MAX = 2.0
"""How long a refused body is still read."""

RECEIVE_STALL_S_MAX = 600.0
"""How long an upload may pause: its source may be a slow program, but what it holds here must end some time."""

_OWN_HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)

_FOREIGN_HOST = Problem(
    status=HTTPStatus.MISDIRECTED_REQUEST,
    reason="FOREIGN_HOST",
    message="the Host header must name 127.0.0.1, localhost or [::1]",
    exit_code=int(ExitCode.ERROR),
)
_UNAUTHORIZED = Problem(
    status=HTTPStatus.UNAUTHORIZED,
    reason="UNAUTHORIZED",
    message="the bearer token is missing or wrong: it stands in the file api-token in the node's home",
    exit_code=int(ExitCode.ERROR),
)


class UploadStalledError(P2PNodeError):
    """The client sent nothing for RECEIVE_STALL_S_MAX."""

    reason = "UPLOAD_STALLED"


@dataclass(slots=True)
class _RequestBody:
    """The request as the server hands it in, with a note of whether its body has been read to the end."""

    receive: Receive
    ended: bool = False

    async def next(self) -> Message:
        """Return the next message; waits without a limit once the body has ended, for the client to leave."""
        if self.ended:
            return await self.receive()
        try:
            with trio.fail_after(RECEIVE_STALL_S_MAX):
                message = await self.receive()
        except trio.TooSlowError as error:
            text = f"the client sent nothing for {RECEIVE_STALL_S_MAX:.0f} s"
            raise UploadStalledError(text) from error
        self._note(message)
        return message

    async def drain(self) -> None:
        """Read and forget a bounded part of what is left."""
        taken = 0
        with trio.move_on_after(DRAIN_S_MAX):
            while not self.ended and taken < DRAIN_BYTES_MAX:
                message = await self.receive()
                self._note(message)
                taken += len(message.get("body", b""))

    def _note(self, message: Message) -> None:
        self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)


class Edge:
    """ASGI middleware: nothing passes without the right host and token, and nothing leaves but answers and problems."""

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._authorization = f"Bearer {token}".encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _RequestBody(receive)
        started = False

        async def send_and_drain(message: Message) -> None:
            nonlocal started
            started = True
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if not is_last or body.ended:
                await send(message)
                return
            # The whole answer goes out first, so that a client which looks up from sending can read it.
            await send({**message, "more_body": True})
            await body.drain()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        refusal = self._refusal(scope)
        if refusal is not None:
            await send_problem(refusal, send_and_drain)
            return
        try:
            await self._app(scope, body.next, send_and_drain)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a request's task; `problem_of` logs it.
            problem = problem_of(error)
            if not started:
                await send_problem(problem, send_and_drain)
            # Else the answer has begun: it ends here without its end, which the client notices.

    def _refusal(self, scope: Scope) -> Problem | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value for name, value in headers if name.lower() == b"host"]
        if len(hosts) != 1 or _OWN_HOSTS.fullmatch(hosts[0].decode("latin-1")) is None:
            return _FOREIGN_HOST
        claims = [value for name, value in headers if name.lower() == b"authorization"]
        # It takes the same time wherever the first difference is, so that a token cannot be guessed part by part.
        if len(claims) != 1 or not hmac.compare_digest(claims[0], self._authorization):
            return _UNAUTHORIZED
        return None


async def send_problem(problem: Problem, send: Send) -> None:
    """Answer with a problem."""
    body = problem.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii"))]
    if problem.status is HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": int(problem.status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
