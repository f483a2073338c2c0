"""The HTTP API above its server: paths, references, headers, queries and bodies, as ASGI hands them in.

Every request gets exactly one whole answer, never an internal error, and only the bearer of the token gets anything.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import unquote

import trio

import p2pnode.api.app
import p2pnode.api.edge
import p2pnode.api.owner_paths
import p2pnode.api.streaming
import p2pnode.api.transfers
from p2pnode.api.app import make_app
from p2pnode.services.results import NodeFace
from testnet.fuzz.target import BrokenPromiseError, Check, Target
from testnet.fuzz.targets.api_shelf import FIRST_BLOB, Shelf
from testnet.fuzz.targets.texts import edited_text

_TOKEN = "fuzz0token"  # noqa: S105 - it opens nothing
_HEAD = f"host: 127.0.0.1:1\nauthorization: Bearer {_TOKEN}\n"
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z]{1,20}")
_SERVER_ERRORS_FROM = 500
_PATIENCE_S = 60.0
"""How long a client waits for its answer, in virtual time."""

_REQUESTS = (
    f"GET /v1/blobs/{FIRST_BLOB}\n{_HEAD}p2pnode-transfer: 0123456789abcdef\n",
    f"GET /v1/blobs/file:{FIRST_BLOB}/status\n{_HEAD}",
    f"PUT /v1/blobs?shards=10&name=a&for_s=9\n{_HEAD}content-length: 4\np2pnode-transfer: 0123456789abcdef\n\ndata",
    f"GET /v1/plan?size=1000&shards=10\n{_HEAD}",
    f"GET /v1/peers\n{_HEAD}",
    f"GET /v1/node\n{_HEAD}",
    f"POST /v1/reach\n{_HEAD}",
    f"GET /v1/reach\n{_HEAD}",
    f"GET /v1/transfers/0123456789abcdef\n{_HEAD}",
    f"GET /v1/owned?removed=1\n{_HEAD}",
    f"POST /v1/blobs/{FIRST_BLOB}/renew?for_s=86400\n{_HEAD}",
    f"DELETE /v1/blobs/{FIRST_BLOB}\n{_HEAD}",
    f"GET /v1/trash\n{_HEAD}",
    f"POST /v1/trash/{FIRST_BLOB}/restore\n{_HEAD}",
    f"DELETE /v1/trash\n{_HEAD}",
    f"GET /v1/quota\n{_HEAD}",
    f"PUT /v1/quota?bytes=1000\n{_HEAD}content-length: 0\n",
    f"GET /v1/status\n{_HEAD}",
    f"GET /v1/events?after=0&follow=0\n{_HEAD}",
)
_PIECES = ("%00", "%2f", "%ff", "..", "//", "?shards=", "&shards=9", "999999999999999999999", "é", "\u0661",
           "file:", "%",
           "host: evil.example", "authorization: Bearer x", "content-length: 99999", "x" * 3000)  # fmt: skip

Message = MutableMapping[str, Any]


def targets() -> list[Target]:
    """Return the targets of this file."""
    api = p2pnode.api
    return [
        Target(
            name="api/requests",
            open=_serving,
            errors=(),
            seeds=lambda _rng: [request.encode() for request in _REQUESTS],
            modules=(api.app, api.edge, api.owner_paths, api.transfers, api.streaming),
            mutate=_edited_request,
            framing="ok no request",
            inputs_max=20_000,
            memory_base_bytes=2 * 1024 * 1024,
        )
    ]


def _edited_request(rng: random.Random, data: bytes) -> bytes:
    """Change one line, put in something odd, or take a line of another request."""
    lines = data.split(b"\n")
    position = rng.randrange(len(lines))
    other = rng.choice(_REQUESTS).encode().split(b"\n")
    match rng.randrange(4):
        case 0:
            lines[position] = edited_text(rng, lines[position])
        case 1:
            cut = rng.randrange(len(lines[position]) + 1)
            lines[position] = lines[position][:cut] + rng.choice(_PIECES).encode() + lines[position][cut:]
        case 2:
            lines[position] = rng.choice(other)
        case _:
            lines.insert(min(position + 1, 3), rng.choice(_PIECES[-4:]).encode())
    return b"\n".join(lines)


@asynccontextmanager
async def _serving(_rng: random.Random) -> AsyncIterator[Check]:
    app: Any = make_app(cast("NodeFace", Shelf()), token=_TOKEN)

    async def check(data: bytes) -> str:
        scope = _scope_of(data)
        if scope is None:
            return "no request"
        status, body = await _answer(app, scope, data.partition(b"\n\n")[2])
        if status >= _SERVER_ERRORS_FROM:
            raise BrokenPromiseError(f"status {status}: {body[:200]!r}")
        if (b"authorization", f"Bearer {_TOKEN}".encode()) not in scope["headers"]:
            assert status in (401, 421), f"status {status} without the token"
        return f"{status} {json.loads(body)['error']['reason']}" if status >= 400 and body else str(status)  # noqa: PLR2004 - the errors

    yield check


def _scope_of(data: bytes) -> dict[str, Any] | None:
    """Return what a server makes of a request; None for what it refuses itself."""
    first, *lines = data.partition(b"\n\n")[0].decode("latin-1").split("\n")
    method, _, where = first.partition(" ")
    path, _, query = where.partition("?")
    if _METHOD.fullmatch(method) is None or not path.startswith("/") or not where.isascii() or " " in where:
        return None
    headers = []
    for line in filter(None, lines):
        name, colon, value = (part.strip().encode("latin-1") for part in line.partition(":"))
        is_number = name.lower() != b"content-length" or (value.isdigit() and len(value) < 20)  # noqa: PLR2004 - as h11
        if not colon or _NAME.fullmatch(name) is None or any(byte < 32 for byte in value) or not is_number:  # noqa: PLR2004 - control characters
            return None
        headers.append((name.lower(), value))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def _answer(app: Any, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:  # noqa: ANN401 - an ASGI application
    """Run one request to its end; return its status and its body."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await trio.sleep(_PATIENCE_S)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    starts = [message for message in sent if message["type"] == "http.response.start"]
    bodies = [message for message in sent if message["type"] == "http.response.body"]
    if len(starts) != 1 or sent[0] is not starts[0]:
        raise BrokenPromiseError(f"{len(starts)} answers")
    return starts[0]["status"], b"".join(message.get("body", b"") for message in bodies)
