"""What is fuzzed: a name, a promise, honest inputs to begin with, and what may come of a damaged one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import ModuleType

Check = Callable[[bytes], Awaitable[object]]
"""Feeds one input to the code; may raise the target's errors. A text that it returns tells one outcome from another."""

Mutate = Callable[[random.Random, bytes], bytes]
"""Changes an input with knowledge of its format; returns it unchanged when it does not understand it."""

Open = Callable[[random.Random], AbstractAsyncContextManager[Check]]

Seeds = Callable[[random.Random], list[bytes]]

MEMORY_BASE_BYTES = 512 * 1024
"""What a decoder may use whatever the input: msgpack takes 256 KiB to write anything, then error, traceback, caches."""

MEMORY_PER_BYTE = 64
"""The codec promises about twenty times the size of its input; reading text and sorting entries cost more."""


class BrokenPromiseError(AssertionError):
    """A target did something else than it promises."""


def plain(function: Callable[[bytes], object]) -> Open:
    """Return the `open` of a target that is an ordinary function and keeps nothing between two inputs."""

    @asynccontextmanager
    async def open_target(_rng: random.Random) -> AsyncIterator[Check]:
        async def check(data: bytes) -> object:
            return function(data)

        yield check

    return open_target


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing that is fuzzed."""

    name: str
    open: Open
    """Prepares whatever the code needs; what it yields is called once an input, in virtual time."""
    errors: tuple[type[Exception], ...]
    """What may be raised. Everything else is a finding."""
    seeds: Seeds
    """Honest inputs."""
    modules: tuple[ModuleType, ...]
    """The code that it is about: of these modules the covered lines are counted."""
    mutate: Mutate | None = None
    framing: str = ""
    """A pattern at the start of the outcomes of inputs that are stopped by the outer framing; empty: there is none."""
    inputs_max: int | None = None
    """Fewer inputs than asked for, because one costs milliseconds."""
    memory_base_bytes: int = MEMORY_BASE_BYTES
    memory_per_byte: int = MEMORY_PER_BYTE
    cpu_s_max: float = 0.25
    """CPU seconds that one input may cost: thousands of times what it should."""
