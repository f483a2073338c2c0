"""Calls in fresh processes that have loaded foreign libraries already and none of our packages, so that each is cheap.

A planted bug may loop for ever or swallow all memory: each call has a bound on both, and one that exceeds them ends
alone. (A pool of processes would wait for ever for the result of one that died.)
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from testnet.spread import processes_default

Item = TypeVar("Item")
Result = TypeVar("Result")

LIBRARIES = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "httpx",
    "hypothesis",
    "libp2p",
    "miniupnpc",
    "msgpack",
    "multiaddr",
    "numpy",
    "pytest",
    "sqlite3",
    "trio",
    "zeroconf",
)
"""What every call would import anyway, in more than a second. Whatever is missing here costs time and nothing else."""

MEMORY_BYTES_MAX = 4 << 30
WALL_FACTOR = 20
"""How much longer than its processor time a call may take: other programs run here too."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A call without a result: its process was ended, for using too much time or memory."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Call(Generic[Item]):
    item: Item
    process: BaseProcess
    deadline: float


def fresh_calls(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    cpu_seconds_max: int,
    processes: int | None = None,
) -> Iterator[tuple[Item, Result | Ended]]:
    """Yield each item with `function(item)`, as they are done. Raises what the function raises.

    Both must be picklable, and so must what it raises.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    waiting = list(reversed(list(items)))
    running: dict[Connection, _Call[Item]] = {}
    count = processes or processes_default()
    try:
        while waiting or running:
            while waiting and len(running) < count:
                item = waiting.pop()
                receive, send = context.Pipe(duplex=False)
                process = context.Process(target=_answer, args=(function, item, send, cpu_seconds_max))
                process.start()
                send.close()
                deadline = time.monotonic() + WALL_FACTOR * cpu_seconds_max
                running[receive] = _Call(item, process, deadline)
            patience = min(call.deadline for call in running.values()) - time.monotonic()
            ready = [each for each in wait(list(running), max(0.0, patience)) if isinstance(each, Connection)]
            late = [each for each, call in running.items() if call.deadline <= time.monotonic() and each not in ready]
            for receive in [*ready, *late]:
                call = running.pop(receive)
                if receive in late:
                    call.process.kill()
                yield call.item, _result(receive, call.process)
    finally:
        for call in running.values():
            call.process.kill()
            call.process.join()


def _result(receive: Connection, process: BaseProcess) -> Result | Ended:
    with receive:
        try:
            result: Result | Exception = receive.recv()
        except EOFError:
            process.join()
            return Ended(f"the process ended with code {process.exitcode}")
    process.join()
    if isinstance(result, Exception):
        raise result
    return result


def _answer(function: Callable[[Item], Result], item: Item, send: Connection, cpu_seconds_max: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds_max, cpu_seconds_max))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    with send:
        try:
            result: Result | Exception = function(item)
        except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
            result = error
        send.send(result)
