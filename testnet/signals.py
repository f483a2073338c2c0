"""Ctrl-C, SIGTERM and SIGHUP as `KeyboardInterrupt`: at once, or only where the program asks for it."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def never_stops() -> None:
    """Be the check of a caller that leaves the signals alone."""


@contextmanager
def raising() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at once, wherever the block is, so that its `finally` clauses clean up.

    Only for the first signal: an impatient second one must not cut the cleaning short.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)
        if len(came) == 1:
            raise KeyboardInterrupt

    with _handled_by(stop):
        yield


@contextmanager
def noted() -> Iterator[Callable[[], None]]:
    """Only note the signals; yields the check.

    An exception in the middle of starting a process would lose its pid, and the process would stay for ever.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    with _handled_by(note):
        yield check


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
