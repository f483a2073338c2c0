"""Starts js-libp2p peers (`peer.mjs`) and tells them what to do."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from crypto.peer_id import peer_id_from_text, peer_id_to_text
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from tests.network.lab import NAMES, full_address, until
from wire.ids import PeerId

FOLDER = Path(__file__).parent

START_S = 30.0
"""Node loads some two hundred files; on a loaded machine that takes seconds."""

ANSWER_S = 30.0
"""A little longer than the peer itself waits for anything, so that its own error is seen."""

STOP_S = 5.0
"""How long a peer may take to end after its stdin did; then it is killed."""

LINE_BYTES_MAX = 1 << 20
READ_BYTES = 1 << 16

DIGEST = "/interop/digest"
SLOW_DIGEST = "/interop/slow-digest"
"""Our protocols towards the peer: a length, that many bytes, and their SHA-256 as the answer."""


class JsPeerError(Exception):
    """The peer ended, or says that a command failed."""


class JsPeer:
    """One running peer. Several commands may be under way at a time."""

    def __init__(self, process: trio.Process) -> None:
        """Talk to this process."""
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._is_over = False
        self.text = ""
        """Its peer id, as text."""
        self.address = ""
        """Where it listens, with its peer id."""

    @property
    def peer_id(self) -> PeerId:
        """Its peer id."""
        return PeerId(peer_id_from_text(self.text))

    async def listen(self) -> None:
        """Take its answers until it ends."""
        rest = b""
        try:
            async for data in self._stdout:
                *lines, rest = (rest + data).split(b"\n")
                assert len(rest) < LINE_BYTES_MAX
                for line in lines:
                    answer = json.loads(line)
                    self._answers[answer["id"]] = answer
        finally:
            self._is_over = True

    async def wait_ready(self) -> None:
        """Wait until it listens."""
        ready = await self._answer(0, START_S)
        self.text = ready["peer"]
        self.address = ready["addresses"][0]

    async def ask(self, command: str, **details: object) -> dict[str, Any]:
        """Have it run a command of `peer.mjs`, and return what it answers. Raises `JsPeerError`."""
        number = next(self._numbers)
        await self._stdin.send_all(json.dumps({"id": number, "command": command, **details}).encode() + b"\n")
        return await self._answer(number, ANSWER_S)

    async def dial(self, network: Libp2pNetwork) -> dict[str, Any]:
        """Have it dial one of our nodes, and wait until that knows of the connection."""
        answer = await self.ask("dial", address=full_address(network))
        await until(lambda: any(each.peer_id == self.peer_id for each in network.connected()))
        return answer

    async def _answer(self, number: int, timeout_s: float) -> dict[str, Any]:
        with trio.fail_after(timeout_s):
            await until(lambda: number in self._answers or self._is_over)
        answer = self._answers.pop(number, {"error": "the peer has ended"})
        if "error" in answer:
            raise JsPeerError(answer["error"])
        result: dict[str, Any] = answer["answer"]
        return result


@asynccontextmanager
async def js_peer(*, kad: str = NAMES.protocol("kad"), signing: str = "StrictSign") -> AsyncIterator[JsPeer]:
    """Run a peer for the length of a block. What it says for people goes to our own stderr."""
    settings = json.dumps({"kad": kad, "signing": signing, "digest": DIGEST, "slowDigest": SLOW_DIGEST})
    process = await trio.lowlevel.open_process(
        ["node", "--import", "./node20.mjs", "peer.mjs", settings],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    peer = JsPeer(process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.listen)
            await peer.wait_ready()
            yield peer
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


@asynccontextmanager
async def js_peers(count: int) -> AsyncIterator[list[JsPeer]]:
    """Run several peers."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(js_peer()) for _ in range(count)]


async def _end(process: trio.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.aclose()
    with trio.move_on_after(STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.stdout.aclose()


def text_of(network: Libp2pNetwork) -> str:
    """Return one of our node's peer ids as js-libp2p writes it."""
    return peer_id_to_text(network.peer_id)
