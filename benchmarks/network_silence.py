"""Benchmark: how soon a stopped and a black-holed peer are noticed, and what they cost an honest one meanwhile.

Both with the pings of every profile, so it takes about half a minute. Run: `python -m benchmarks.network_silence`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import trio

from benchmarks.network_flood import percentile
from benchmarks.network_lab import SERVER, ask, child, make_network, running
from p2pnode.config import TESTNET
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.requests import Requester
from p2pnode.system import SystemClock
from wire.ids import PeerId

GATE_S = 30.0
PATIENCE_S = 60.0
ASK_EVERY_S = 0.02
_PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was seen."""

    stopped_noticed_s: float
    """From SIGSTOP to the end of the connection."""
    black_hole_noticed_s: float
    """From the moment when nothing came through any more, while both sides keep their sockets."""
    requests_failed_after_s: float
    """How long the requests that were under way to the two took to fail; the longer one."""
    honest_p99_before_ms: float
    honest_p99_meanwhile_ms: float
    honest_failed: int

    @property
    def is_within_gate(self) -> bool:
        """Whether both were noticed in time, and no honest request failed."""
        noticed = max(self.stopped_noticed_s, self.black_hole_noticed_s, self.requests_failed_after_s)
        return noticed <= GATE_S and not self.honest_failed


class Hole:
    """A way to a real node that swallows everything once it is told to, and closes nothing."""

    def __init__(self) -> None:
        """Let everything through."""
        self.is_open = True

    async def carry(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        """Pass bytes on until the hole shuts; from then on read nothing and say nothing."""
        while self.is_open:
            data = await source.receive_some(_PIECE_BYTES)
            if not data:
                return
            if self.is_open:
                await target.send_all(data)
        await trio.sleep_forever()


@asynccontextmanager
async def through(hole: Hole, port: int) -> AsyncIterator[int]:
    """Listen on a port that leads through the hole for the length of a block."""

    async def accept(near: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as far, trio.open_nursery() as nursery:
            nursery.start_soon(hole.carry, near, far)
            nursery.start_soon(hole.carry, far, near)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, accept, [listener])
        yield int(listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def measure() -> Outcome:
    """Connect to three nodes, silence two of them, and watch."""
    network, hole = make_network(random.Random(1)), Hole()  # noqa: S311 - keys of a benchmark
    with child(SERVER) as stopped, child(SERVER) as lost, child(SERVER) as honest:
        addresses = [await _address(each) for each in (stopped, lost, honest)]
        host, _, rest = addresses[1].partition("/tcp/")
        port, _, peer_text = rest.partition("/")
        async with through(hole, int(port)) as way, running(network):
            addresses[1] = f"{host}/tcp/{way}/{peer_text}"
            peers = [await network.bootstrap(address) for address in addresses]
            requester = Requester(network, SystemClock(), TESTNET)
            before = await _ask_for(requester, peers[2], 2.0)
            os.kill(stopped.pid, signal.SIGSTOP)
            hole.is_open = False
            outcome = await _watch(network, requester, peers, before)
            await requester.aclose()
        os.kill(stopped.pid, signal.SIGCONT)
        return outcome


async def _watch(network: Libp2pNetwork, requester: Requester, peers: list[PeerId], before: list[float]) -> Outcome:
    silenced_at = trio.current_time()
    noticed: dict[PeerId, float] = {}
    failed_after: list[float] = []
    meanwhile: list[float] = []
    honest_failed = 0

    async def doomed(peer_id: PeerId) -> None:
        try:
            await ask(requester, peer_id)
        except PeerUnavailableError:
            failed_after.append(trio.current_time() - silenced_at)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for peer_id in peers[:2]:
                nursery.start_soon(doomed, peer_id)
            while len(noticed) < len(peers) - 1 or len(failed_after) < len(peers) - 1:
                started = trio.current_time()
                try:
                    await ask(requester, peers[2])
                except PeerUnavailableError:
                    honest_failed += 1
                meanwhile.append(trio.current_time() - started)
                connected = {each.peer_id for each in network.connected()}
                for peer_id in peers[:2]:
                    if peer_id not in connected:
                        noticed.setdefault(peer_id, trio.current_time() - silenced_at)
                await trio.sleep(ASK_EVERY_S)
    return Outcome(
        stopped_noticed_s=noticed[peers[0]],
        black_hole_noticed_s=noticed[peers[1]],
        requests_failed_after_s=max(failed_after),
        honest_p99_before_ms=1_000 * percentile(before),
        honest_p99_meanwhile_ms=1_000 * percentile(meanwhile),
        honest_failed=honest_failed,
    )


async def _ask_for(requester: Requester, peer_id: PeerId, seconds: float) -> list[float]:
    took = []
    until = trio.current_time() + seconds
    while trio.current_time() < until:
        started = trio.current_time()
        await ask(requester, peer_id)
        took.append(trio.current_time() - started)
        await trio.sleep(ASK_EVERY_S)
    return took


async def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await trio.to_thread.run_sync(process.stdout.readline)).strip()


def main() -> None:
    """Run the benchmark and print its outcome."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    outcome = trio.run(measure)
    print(json.dumps({**asdict(outcome), "is_within_gate": outcome.is_within_gate}))  # noqa: T201 - it is what the benchmark is for


if __name__ == "__main__":
    main()
