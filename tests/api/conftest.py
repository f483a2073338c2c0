"""A served API: the real application and server on a loopback port, over a fake node."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import trio

from p2pnode.api import edge
from p2pnode.api.app import make_app
from p2pnode.api.server import bind, serve, url_of
from tests.api.fake_node import FakeNode

TOKEN = "0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
TIMEOUT_S = 20.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Saves each client the loading of certificates that it never needs."""


@dataclass(frozen=True, slots=True)
class Served:
    """An API under test, and a client that has its token."""

    node: FakeNode
    client: httpx.AsyncClient
    port: int
    scope: trio.CancelScope
    ended: trio.Event
    """Set when the server has ended after `scope` was cancelled."""

    async def connect(self) -> trio.SocketStream:
        """Return a bare connection."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@pytest.fixture
async def served(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Serve until the test ends. A body that nobody wants is drained for a shorter time than in production."""
    monkeypatch.setattr(edge, "DRAIN_S_MAX", 0.2)
    node = FakeNode()
    listener = bind("127.0.0.1:0")
    url, port = url_of(listener), listener.getsockname()[1]
    scope, ended = trio.CancelScope(), trio.Event()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await serve(make_app(node, token=TOKEN), listener, task_status=task_status)
        ended.set()

    await nursery.start(functools.partial(run))
    async with httpx.AsyncClient(
        base_url=url, headers=HEADERS, timeout=TIMEOUT_S, trust_env=False, verify=NO_TLS
    ) as client:
        yield Served(node, client, port, scope, ended)


async def read_until_cut(stream: trio.SocketStream) -> bytes:
    """Return everything that comes until the connection ends, in whatever way."""
    data = b""
    try:
        with trio.fail_after(TIMEOUT_S):
            while chunk := await stream.receive_some():
                data += chunk
    except trio.BrokenResourceError:
        pass
    return data
