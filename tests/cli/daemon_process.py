"""The program `p2pnode`, with a fake behind `p2pnode.open_node.open_node`: everything of `run` is real but the node.

The variable FAKE_NODE says how the node behaves, see `open_fake_node`.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from p2pnode.cli.main import main
from p2pnode.errors import PortInUseError
from p2pnode.storage.home import Home
from tests.api.fake_node import FakeNode, reference_of

BIG = bytes(50_000_000)


@asynccontextmanager
async def open_fake_node(
    home: Home, *, listen: tuple[str, ...], announce: tuple[str, ...], bootstrap: tuple[str, ...]
) -> AsyncIterator[FakeNode]:
    """Behave as told: start, or hang or fail at it, or hang at the end."""
    behaviour = os.environ.get("FAKE_NODE", "")
    say(f"asked for {home.path.name} {listen} {announce} {bootstrap}")
    if behaviour == "port in use":
        message = "cannot listen on /ip4/127.0.0.1/tcp/1: Address already in use"
        raise ExceptionGroup("", [PortInUseError(message)])
    if behaviour == "bug":
        message = "a bug"
        raise RuntimeError(message)
    if behaviour == "hangs at the start":
        say("hangs")
        await trio.sleep_forever()
    node = FakeNode()
    node.blobs[reference_of(BIG)] = BIG
    yield node
    with trio.CancelScope(shield=True):
        if behaviour == "hangs at the end":
            say("hangs")
            await trio.sleep_forever()
        say("left in good order")


def say(line: str) -> None:
    """Tell the test; no error when it does not listen any more."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - the test reads it


def fake_module() -> types.ModuleType:
    """Return what stands for `p2pnode.open_node`."""
    module = types.ModuleType("p2pnode.open_node")
    module.__dict__["open_node"] = open_fake_node
    return module


if __name__ == "__main__":
    sys.modules["p2pnode.open_node"] = fake_module()
    sys.exit(main())
