"""Foreign code in virtual time: the machine's clocks, chance and threads are replaced while real libraries run.

`escapes.py` lets our own code not reach for them at all. A library does, and cannot be asked to stop; so here it gets
virtual time, a seeded generator, and threads that are never started. What is left of the real world are the keys that
compiled libraries draw for themselves: they differ from run to run, their lengths do not.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator

import trio

from testnet.sim.clock import WALL_EPOCH_S, SimClock
from testnet.sim.escapes import barrier, replaced

_NANOSECONDS = 1_000_000_000

_SOCKETS = ((trio.socket, "socket"), (trio.socket, "getaddrinfo"), (socket, "socket"), (socket, "create_connection"))


@contextlib.contextmanager
def foreign_code_in_virtual_time(clock: SimClock, source: random.Random) -> Iterator[None]:
    """Show virtual time to whoever asks, draw all of Python's chance from `source`, and let sockets raise.

    Threads that are started inside do not run: py-libp2p has one for each cache, which forgets old entries.
    """

    def wall() -> float:
        return WALL_EPOCH_S + clock.current_time()

    def random_below(limit: int) -> int:
        return source.randrange(limit)

    def random_bytes(count: int | None = None) -> bytes:
        return source.randbytes(32 if count is None else count)

    replacements: list[tuple[object, str, Callable[..., object]]] = [
        (time, "time", wall),
        (time, "time_ns", lambda: int(wall() * _NANOSECONDS)),
        (time, "monotonic", clock.current_time),
        (os, "urandom", random_bytes),
        (secrets, "token_bytes", random_bytes),
        (secrets, "randbelow", random_below),
        (threading.Thread, "start", _do_nothing),
        (threading.Thread, "join", _do_nothing),
    ]
    state = random.getstate()
    with contextlib.ExitStack() as stack:
        stack.callback(random.setstate, state)
        random.seed(source.random())
        for owner, name in _SOCKETS:
            stack.enter_context(replaced(owner, name, barrier(f"{owner.__name__}.{name}", getattr(owner, name))))
        for thing, name, replacement in replacements:
            stack.enter_context(replaced(thing, name, _in_this_thread(getattr(thing, name), replacement)))
        yield


def _do_nothing(*args: object, **options: object) -> None:
    del args, options


def _in_this_thread(real: Callable[..., object], replacement: Callable[..., object]) -> Callable[..., object]:
    world = threading.get_ident()

    def choose(*args: object, **options: object) -> object:
        function = replacement if threading.get_ident() == world else real
        return function(*args, **options)

    return choose
