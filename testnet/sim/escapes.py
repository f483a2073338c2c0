"""Nothing leaves a simulated world: the machine's clocks, entropy, threads and sockets raise while it runs."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import ParamSpec, TypeVar

import trio

from testnet.sim.clock import WALL_EPOCH_S

P = ParamSpec("P")
T = TypeVar("T")

_OUR_PACKAGES = ("p2pnode", "wire", "crypto")
"""Timers are read by the interpreter's own modules too; only our code must not."""

_FORBIDDEN: tuple[tuple[ModuleType | type, str], ...] = (
    (time, "time_ns"),
    (time, "sleep"),
    (os, "urandom"),
    (os, "getrandom"),
    (random, "_urandom"),
    (random, "random"),
    (random, "randrange"),
    (random, "randint"),
    (random, "choice"),
    (random, "shuffle"),
    (random, "sample"),
    (secrets, "token_bytes"),
    (secrets, "token_hex"),
    (secrets, "randbits"),
    (secrets, "choice"),
    (uuid, "uuid1"),
    (uuid, "uuid4"),
    (threading.Thread, "start"),
    (trio.to_thread, "run_sync"),
    (trio.socket, "socket"),
    (trio.socket, "getaddrinfo"),
    (trio, "run_process"),
    (socket, "socket"),
    (socket, "create_connection"),
)

_TIMERS = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")


class EscapeError(BaseException):
    """Code under simulation reached for the real world. Not an `Exception`: nothing may handle it quietly."""


@contextlib.contextmanager
def trap_escapes() -> Iterator[None]:
    """Let every way out raise `EscapeError` while the context lasts, in this thread: others are not of this world."""
    with contextlib.ExitStack() as stack:
        for owner, name in _FORBIDDEN:
            if hasattr(owner, name):
                refuse = barrier(f"{owner.__name__}.{name}", getattr(owner, name))
                stack.enter_context(replaced(owner, name, refuse))
        for name in _TIMERS:
            stack.enter_context(replaced(time, name, _only_for_others(name, getattr(time, name))))
        stack.enter_context(replaced(time, "time", _wall_clock_for_logging(time.time)))
        yield


def barrier(name: str, real: Callable[P, T]) -> Callable[P, T]:
    """Return a function that raises `EscapeError` in this thread, and is the real one in others."""
    world = threading.get_ident()

    def refuse(*args: P.args, **options: P.kwargs) -> T:
        if threading.get_ident() == world:
            raise EscapeError(f"{name} was used inside a simulated world")
        return real(*args, **options)

    return refuse


def _only_for_others(name: str, real: Callable[P, T]) -> Callable[P, T]:
    def timer(*args: P.args, **options: P.kwargs) -> T:
        if _caller().partition(".")[0] in _OUR_PACKAGES:
            raise EscapeError(f"time.{name} was used inside a simulated world")
        return real(*args, **options)

    return timer


def _wall_clock_for_logging(real: Callable[[], float]) -> Callable[[], float]:
    """Every log record asks for the time; it gets the virtual one."""
    world = threading.get_ident()

    def wall() -> float:
        if threading.get_ident() != world:
            return real()
        if _caller() != "logging":
            raise EscapeError("time.time was used inside a simulated world")
        return WALL_EPOCH_S + trio.current_time()

    return wall


def _caller() -> str:
    return str(sys._getframe(2).f_globals.get("__name__", ""))  # noqa: SLF001 - there is no public way


@contextlib.contextmanager
def replaced(owner: object, name: str, replacement: object) -> Iterator[None]:
    """Put another thing in the place of an attribute while the context lasts."""
    real = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, real)
